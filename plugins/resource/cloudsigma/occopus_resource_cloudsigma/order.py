"""Translates the `resource` section and the context into request bodies of CloudSigma."""

from __future__ import annotations

import base64
import reprlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from occopus_core.api import CreateRequest, PermanentError
from occopus_resource_cloudsigma.marks import PREFIX, Thing, marks

USER_DATA = "cloudinit-user-data"
ENCODED = "base64_fields"
DESCRIPTION = "resource.description"

_LONGEST_KEY = 32
"""The most characters of a key of `meta`."""
_LARGEST = 2**63 - 1
_INTEGERS = ("cpu", "mem", "smp")
_TRUTH_FIELDS = ("auto_start", "context", "cpus_instead_of_cores", "enable_numa", "hv_relaxed", "hv_tsc", "is_grey")
_TRUTHS = {"true": True, "false": False, "yes": True, "no": False}
_SET_HERE: Mapping[str, str] = {
    "drives": "the server gets the clone of resource.libdrive_id",
    **dict.fromkeys(("uuid", "status", "owner", "runtime", "resource_uri", "jobs"), "CloudSigma sets it"),
}
"""Fields of a server that a description may not have, each with the reason."""
_UNSENT = "endpoint"
"""Old descriptions repeat the endpoint here; it is no field of a server."""
_NICS: list[Thing] = [{"ip_v4_conf": {"conf": "dhcp"}, "model": "virtio"}]
"""The interfaces of a server whose description names none: one, with a public address."""
_DEVICES = {"cdrom": "ide"}


def check(request: CreateRequest) -> None:
    """Raises `PermanentError` for errors that can be found without a call."""
    drive_part(request.resource)
    server_body(request, {"uuid": ""})
    drive_size(request.resource)


def drive_part(resource: Mapping[str, Any]) -> str:
    """The id of the drive as a part of a URL. Raises `PermanentError` for a text that would change the path."""
    text = str(resource["libdrive_id"])
    if text in (".", ".."):
        raise PermanentError(f"resource.libdrive_id: '{text}' is not the id of a drive", at="resource.libdrive_id")
    return quote(text, safe="")


def server_name(request: CreateRequest) -> str:
    """The name of the server: the token if the description has none."""
    return str(request.resource["description"].get("name") or request.token)


def drive_size(resource: Mapping[str, Any]) -> int | None:
    """The size of the drive in bytes; None for that of the library drive. Raises `PermanentError`."""
    return _whole("resource.drive_size", resource["drive_size"]) if "drive_size" in resource else None


def clone_body(request: CreateRequest) -> Thing:
    """The body that clones the drive."""
    size = drive_size(request.resource)
    return {
        "name": request.token,
        "meta": marks(request.owner, request.token),
        **({"size": size} if size is not None else {}),
    }


def server_body(request: CreateRequest, drive: Thing) -> Thing:
    """The body that makes the server with its drive. Raises `PermanentError`."""
    given: Mapping[str, Any] = request.resource["description"]
    for field, reason in _SET_HERE.items():
        if field in given:
            raise PermanentError(f"{DESCRIPTION}.{field} cannot be given: {reason}")
    fields = {field: _typed(field, value) for field, value in given.items() if field != _UNSENT}
    if request.context.user_data and fields.get("context") is False:
        raise PermanentError(f"{DESCRIPTION}.context is false, and the contextualisation needs it")
    server = {
        "nics": _NICS,
        **fields,
        "name": server_name(request),
        "meta": {**_own_meta(given), **marks(request.owner, request.token), **_user_data(request)},
        "drives": [
            {
                "drive": drive["uuid"],
                "dev_channel": "0:0",
                "device": _DEVICES.get(str(drive.get("media")), "virtio"),
                "boot_order": 1,
            }
        ],
    }
    return {"objects": [server]}


def _own_meta(given: Mapping[str, Any]) -> dict[str, str]:
    """The user's own `meta`, with values as texts. Raises `PermanentError`."""
    found = given.get("meta") or {}
    if not isinstance(found, Mapping):
        raise PermanentError(f"{DESCRIPTION}.meta must be a mapping")
    for key in map(str, found):
        if key in (USER_DATA, ENCODED) or key.startswith(PREFIX):
            raise PermanentError(f"{DESCRIPTION}.meta.{key} cannot be given: Occopus sets it")
        if len(key) > _LONGEST_KEY:
            raise PermanentError(f"{DESCRIPTION}.meta: a key has at most {_LONGEST_KEY} characters, not {len(key)}")
    return {str(key): str(value) for key, value in found.items()}


def _user_data(request: CreateRequest) -> dict[str, str]:
    text = request.context.user_data
    if not text:
        return {}
    return {USER_DATA: base64.b64encode(text.encode()).decode(), ENCODED: USER_DATA}


def _typed(field: str, value: Any) -> Any:
    """The value of a field, converted from a rendered text if necessary. Raises `PermanentError`."""
    if field in _INTEGERS:
        return _whole(f"{DESCRIPTION}.{field}", value)
    if field in _TRUTH_FIELDS:
        known = _TRUTHS.get(str(value).lower())
        if known is None:
            raise PermanentError(f"{DESCRIPTION}.{field} must be true or false, not {reprlib.repr(value)}")
        return known
    return value


def _whole(where: str, value: Any) -> int:
    text = str(value)
    # Python refuses to parse thousands of digits.
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST)) else 0
    if not 1 <= number <= _LARGEST:
        raise PermanentError(f"{where} must be a whole number from 1 to {_LARGEST}, not {reprlib.repr(value)}")
    return number
