"""Azure Resource Manager: dispatches calls, and adds the headers that every answer has."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

from occopus_resource_azure.testing import images, usage
from occopus_resource_azure.testing.account import Account
from occopus_resource_azure.testing.compute import Machines
from occopus_resource_azure.testing.containers import ContainerGroups
from occopus_resource_azure.testing.disks import Disks
from occopus_resource_azure.testing.faults import Call, Faults
from occopus_resource_azure.testing.interfaces import Interfaces
from occopus_resource_azure.testing.kind import Kind, unsupported
from occopus_resource_azure.testing.login import Login
from occopus_resource_azure.testing.network import PublicAddresses
from occopus_resource_azure.testing.resources import Groups, all_resources
from occopus_resource_azure.testing.security import SecurityGroups, SecurityRules
from occopus_resource_azure.testing.vnet import Subnets, VirtualNetworks
from occopus_resource_azure.testing.wire import Answer, Path, RefusedError, Request

KINDS: tuple[type[Kind], ...] = (
    VirtualNetworks,
    Subnets,
    PublicAddresses,
    SecurityGroups,
    SecurityRules,
    Interfaces,
    Machines,
    Disks,
    ContainerGroups,
)
_POLLED = ("operations", "diskoperations", "operationresults")
_ALLOWANCE = {"reads": 16500, "writes": 12000, "deletes": 12000}
_THROTTLED_SECONDS = 6
_COMPUTE = {
    "PUT virtualmachines": ("PutVM", 1499, 11),
    "DELETE virtualmachines": ("DeleteVM", 1499, 11),
    "POST virtualmachines": ("UpdateVM", 1499, 11),
    "PATCH virtualmachines": ("UpdateVM", 1499, 11),
    "GET virtualmachines": ("LowCostGet", 23999, 35),
    "GET operations": ("GetOperation", 14999, 44),
}
_DISKS = {"PUT": "CreateUpdateDisks", "DELETE": "DeleteDisks", "GET": "LowCostGet", "PATCH": "CreateUpdateDisks"}


class Arm:
    """Login host and resource manager of one account, on one address. Thread-safe: handles one call at a time."""

    def __init__(self, account: Account, base: str) -> None:
        self.lock = threading.RLock()
        self.account = account
        self.base = base
        self.login = Login(account.now)
        self.faults = Faults()
        self.calls: Counter[str] = Counter()
        self.most_at_once = 0
        self._used: Counter[str] = Counter()
        self.groups = Groups(account, base)
        self.kinds = {kind.type.lower(): kind(account, base) for kind in KINDS}
        self.machines = Machines(account, base)

    def called(self, request: Request) -> Call:
        """The call in the form in which faults match it."""
        if self.login.is_for(request.path):
            return Call(request.method, "login", request.path.rpartition("/")[2])
        if request.path.startswith("/console/"):
            return Call(request.method, "console")
        return self._called(request)

    def _called(self, request: Request) -> Call:
        if request.path == "/metadata/endpoints":
            return Call(request.method, "metadata")
        target = request.target
        region = request.body.get("location", "") if isinstance(request.body, dict) else ""
        if any(word.lower() in _POLLED for word in target.types):
            return Call(request.method, "operations", target.names[-1])
        if not target.provider:
            word = target.types[0] if target.types and target.types[0].lower() != "resourcegroups" else "resourceGroups"
            listing = not target.names and (word != "resourceGroups" or not target.group)
            return Call(request.method, word, target.group, region=region, listing=listing)
        kind = self.kinds.get(target.type)
        if kind is not None:
            return Call(request.method, kind.type, "/".join(target.names), region=region, listing=not target.is_item)
        above = self.kinds.get(target.parent.type) or self.kinds.get(target.parent.parent.type)
        if above is None or target.is_item:
            return Call(request.method, f"{target.provider}/{'/'.join(target.types)}", "/".join(target.names))
        return Call(request.method, above.type, target.names[0] if target.names else "", target.types[-1])

    def answer(self, request: Request) -> Answer:
        """The answer to a call, before faults change it."""
        with self.lock:
            self.account.operations.settle()
            try:
                answer = self._answer(request)
            except RefusedError as refused:
                answer = refused.answer
            answer.headers = {**self._headers(request, answer), **answer.headers}
            pause = self.account.poll_seconds
            if pause is not None and answer.status < HTTPStatus.BAD_REQUEST and "Retry-After" in answer.headers:
                answer.headers["Retry-After"] = str(pause)
            return answer

    def _answer(self, request: Request) -> Answer:
        if self.login.is_for(request.path):
            return self.login.answer(request, self.base)
        if request.path.startswith("/console/"):
            return self._console(request)
        if request.path == "/metadata/endpoints":
            login = {"loginEndpoint": f"{self.base}/", "audiences": [f"{self.base}/"]}
            return Answer(200, {"portalEndpoint": f"{self.base}/", "authentication": login})
        self.login.check(request, self.base)
        target = request.target
        if not target.subscription:
            raise unsupported(request)
        if target.subscription.lower() != self.account.subscription:
            message = f"The subscription '{target.subscription}' could not be found."
            raise RefusedError(404, "SubscriptionNotFound", message, cause="gateway")
        self._check_allowance()
        if not request.version:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise RefusedError(400, "MissingApiVersionParameter", message, cause="gateway")
        return self._routed(request)

    def _check_allowance(self) -> None:
        left = self.account.limits.calls
        if left is None:
            return
        if left <= 0:
            message = f"Number of requests for subscription '{self.account.subscription}' exceeded the limit."
            headers = {"Retry-After": str(_THROTTLED_SECONDS)}
            raise RefusedError(429, "SubscriptionRequestsThrottled", message, cause="gateway", headers=headers)
        self.account.limits.calls = left - 1

    def _routed(self, request: Request) -> Answer:
        target = request.target
        words = [word.lower() for word in target.types]
        if words and words[-1] in _POLLED and len(target.names) == len(words):
            monitor = request.query.get("monitor", "").lower() == "true"
            id, segment = target.names[-1], target.types[-1]
            return self.account.operations.poll(self.base, id, segment, request.version, monitor=monitor)
        if not target.provider:
            return self._unprovided(request, words)
        if words[:1] == ["locations"] and words[-1] == "usages" and request.method == "GET":
            return usage.usages(self.account, target.provider, target.names[0])
        if images.is_for(target) and request.method == "GET":
            return images.answer(request)
        if target.provider.lower() in self.account.limits.unregistered and request.method != "GET":
            message = f"The subscription is not registered to use namespace '{target.provider}'."
            detail = {"code": "MissingSubscriptionRegistration", "target": target.provider, "message": message}
            raise RefusedError(409, "MissingSubscriptionRegistration", message, details=[detail])
        return self._provided(request)

    def _unprovided(self, request: Request, words: list[str]) -> Answer:
        target = request.target
        if words == ["resources"] and request.method == "GET":
            return all_resources(self.account, request, self.base)
        if words == ["resourcegroups"]:
            return self.groups.answer(request)
        if not words and target.group:
            return self.groups.answer(request)
        if not words and request.method == "GET":
            return Answer(200, usage.subscription(self.account))
        raise unsupported(request)

    def _provided(self, request: Request) -> Answer:
        target = request.target
        kind = self.kinds.get(target.type)
        if kind is None:
            return self._acted(request)
        if not target.is_item:
            if request.method != "GET":
                raise unsupported(request)
            return kind.listed(request)
        methods: dict[str, Callable[[Request], Answer]] = {
            "GET": kind.get,
            "PUT": kind.put,
            "DELETE": kind.delete,
            "PATCH": kind.patch,
        }
        if request.method not in methods:
            raise unsupported(request)
        return methods[request.method](request)

    def _acted(self, request: Request) -> Answer:
        whole = request.target
        parent = whole.parent
        kind = self.kinds.get(parent.type) or self.kinds.get(parent.parent.type)
        if kind is None or whole.is_item:
            raise unsupported(request)
        above = Path(whole.subscription, whole.group, whole.provider, whole.types[:-1], whole.names)
        request.target = above
        return kind.act(request, whole.types[-1])

    def _console(self, request: Request) -> Answer:
        machine, _, what = request.path.removeprefix("/console/").partition("/")
        text = self.machines.console(machine) if what == "serialconsole.log" else None
        if text is None:
            page = b"<?xml version='1.0' encoding='utf-8'?><Error><Code>BlobNotFound</Code></Error>"
            return Answer(404, page, {"Content-Type": "application/xml"})
        return Answer(200, text.encode(), {"Content-Type": "text/plain"})

    def _headers(self, request: Request, answer: Answer) -> dict[str, str]:
        id = str(uuid.uuid4())
        made = {"x-ms-request-id": id, "x-ms-correlation-request-id": id}
        if answer.body is not None and not isinstance(answer.body, bytes):
            made["Content-Type"] = "application/json; charset=utf-8"
        if not request.target.subscription or answer.headers.get("x-ms-failure-cause") == "gateway":
            return made
        sort = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(request.method, "writes")
        self._used[sort] += 1
        left = max(_ALLOWANCE[sort] - self._used[sort], 1)
        if self.account.limits.calls is not None:
            left = self.account.limits.calls
        made[f"x-ms-ratelimit-remaining-subscription-global-{sort}"] = str(left)
        return {**made, **_allowances(request)}


def _allowances(request: Request) -> dict[str, str]:
    """The remaining allowances of a provider."""
    target = request.target
    provider = target.provider.lower()
    if provider == "microsoft.containerinstance" and request.method in ("PUT", "DELETE"):
        start = "x-ms-ratelimit-remaining-subscription-resource-requests-"
        return {f"{start}pt1h": "299", f"{start}pt5m": "99"}
    if provider != "microsoft.compute":
        return {}
    word = "operations" if "operations" in map(str.lower, target.types) else target.types[0].lower()
    if word == "disks":
        name = _DISKS.get(request.method, "LowCostGet")
        text = f"Microsoft.Compute/{name}3Min;2999,Microsoft.Compute/{name}30Min;24999"
        return {"x-ms-ratelimit-remaining-resource": text}
    found = _COMPUTE.get(f"{request.method} {word}", _COMPUTE["GET operations"])
    name, most, left = found
    text = f"Microsoft.Compute/{name}SubscriptionMaximum;{most},Microsoft.Compute/{name}Resource;{left}"
    return {"x-ms-ratelimit-remaining-resource": text}
