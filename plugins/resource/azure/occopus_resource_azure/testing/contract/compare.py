"""Compares an answer of the stand-in with a recorded one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from occopus_resource_azure.testing.contract.recorded import Recorded
from occopus_resource_azure.testing.wire import Answer

_IGNORED = re.compile(r"x-ms-operation-identifier|x-ms-(correlation-)?request-id")
_OLD = re.compile(r"x-ms-ratelimit-remaining-subscription-(reads|writes|deletes)$")
_CONTROL = ("azure-asyncoperation", "location", "retry-after")
_SAME_VALUES = ("provisioningState", "status", "code", "state", "deleteOption", "type", "diskState", "createOption")
OTHER_VERSIONS: tuple[tuple[str, str, str], ...] = (
    (
        r".*/(provisioningTimeoutInSeconds|isCustomProvisioningTimeout|isCreatedFromStandbyPool|configMap)",
        "2021-10-01",
        "answered since 2024, by the api-versions of that time",
    ),
    (r".*/subnets/.*|.*/properties/privateEndpointVNetPolicies", "2024-01-01", "api-version of 2024 and later"),
    (r".*/enableVmProtection", "2020-11-30", "no longer answered"),
    (r".*/properties/(ddosSettings|vnetEncryptionSupported)|.*/sku/tier", "2020-11-30", "added later"),
    (r".*/properties/(sku|initContainers)|.*/instanceView/(events|state)", "2019-12-01", "added in 2019-12-01"),
    (r".*/currentState/exitCode", "2020-01-01", "answered for what runs by old api-versions only"),
    (r"/properties/ipAddress/ip", "2019-01-01", "answered at once in 2019"),
    (r".*/(timeCreated|osDisk/deleteOption|dataDisks\[\]/deleteOption|assessmentMode)", "2022-01-01", "added later"),
    (r".*/publicNetworkAccess|/(id|sku|type)|.*/isArmResource", "2021-01-01", "disks of that time"),
    (
        r".*/vmAgent/statuses\[\]/code|.*/instanceView/(computerName|osName|osVersion)",
        "2020-06-01",
        "whether the agent of a machine just made has reported yet",
    ),
    (
        r".*/(managedDisk|patchSettings)|.*/(hostedWorkloads|nicType|tapConfigurations)",
        "2020-06-01",
        "machines with unmanaged disks, by api-versions of 2018 to 2020",
    ),
    (r".*/etag", "2022-01-01", "taken out of the recording"),
    (r"/(identity|tags)", "2020-12-02", "a policy of the recorded subscription adds them"),
    (r".*/(extensions|extensionHandlers)|/resources", "2021-12-31", "the stand-in has no extensions of VMs"),
)
"""Intended differences: a pattern of their place, the api-version before which they occur, and the reason."""

OTHER_STATES = {
    ("tag_filter_and_tag_patch_cli_2020", 18): "the default of a property was another one in 2020, so today it changes"
}
"""Exchanges with a resource in another state, by file and number, each with the reason."""


def differences(recorded: Recorded, answer: Answer) -> Iterator[str]:
    """The differences from the recording, one line each."""
    if answer.status != recorded.status:
        yield f"status {answer.status}, recorded {recorded.status}: {answer.body if answer.status >= 400 else ''}"  # noqa: PLR2004
        return
    yield from _headers(recorded, {name.lower() for name in answer.headers})
    if isinstance(recorded.response, str) or isinstance(answer.body, bytes):
        if isinstance(recorded.response, str) is not isinstance(answer.body, bytes):
            yield "one is text, the other is not"
        return
    if recorded.method == "HEAD":
        return
    for place, line in _shapes(recorded.response, answer.body, ""):
        other = (recorded.file, recorded.number) in OTHER_STATES and place.endswith("/provisioningState")
        if not other and not _explained(recorded, place):
            yield f"{place or 'the body'}: {line}"


def _explained(recorded: Recorded, place: str) -> bool:
    return any(recorded.version <= before and re.fullmatch(pattern, place) for pattern, before, _ in OTHER_VERSIONS)


def _headers(recorded: Recorded, own: set[str]) -> Iterator[str]:
    there = set()
    for name, value in recorded.headers.items():
        if _IGNORED.fullmatch(name) or (name == "retry-after" and value == "0"):
            continue
        old = _OLD.fullmatch(name)
        there.add(f"x-ms-ratelimit-remaining-subscription-global-{old[1]}" if old else name)
    if not recorded.is_recent:
        there.discard(
            "azure-asyncoperation" if recorded.method == "PUT" and "/networkInterfaces/" in recorded.path else ""
        )
    if recorded.headers.get("x-ms-failure-cause") == "gateway":
        there = {name for name in there if "ratelimit" not in name}  # some gateways add them, others do not
    for name in sorted(there - own):
        yield f"header {name} is missing"
    if recorded.is_recent:
        if recorded.path.split("/")[3] == "operationresults":
            there.add("location")  # some have it, others do not
        for name in sorted((own & set(_CONTROL)) - there):
            yield f"header {name} was not recorded"


def _shapes(recorded: Any, own: Any, place: str) -> Iterator[tuple[str, str]]:
    """Where two bodies differ in their keys, the types of their values, or values that clients depend on."""
    if isinstance(recorded, dict) and isinstance(own, dict):
        for name in sorted(recorded.keys() | own.keys()):
            inner = f"{place}/{name}"
            if place.endswith("/tags") or name == "userAssignedIdentities":
                continue
            if name not in own:
                yield inner, "is missing"
            elif name not in recorded:
                yield inner, "was not recorded"
            else:
                yield from _shapes(recorded[name], own[name], inner)
    elif isinstance(recorded, list) and isinstance(own, list):
        if recorded and own:
            yield from _shapes(recorded[0], own[0], f"{place}[]")
    elif _sort(recorded) != _sort(own):
        yield place, f"is {_sort(own)}, recorded {_sort(recorded)}"
    elif place.rpartition("/")[2] in _SAME_VALUES and str(recorded).lower() != str(own).lower():
        yield place, f"is {own!r}, recorded {recorded!r}"


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__
