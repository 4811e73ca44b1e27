"""Replays recorded exchanges on the stand-in and compares status, headers and shape of body."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from occopus_resource_azure.testing.account import Account
from occopus_resource_azure.testing.arm import Arm
from occopus_resource_azure.testing.contract.compare import differences
from occopus_resource_azure.testing.contract.given import Given
from occopus_resource_azure.testing.contract.recorded import Recorded
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.wire import Answer, Path, Request

_BASE = "https://management.azure.com"
_UNDER_WAY = ("InProgress", "Pending", "Updating", "Creating", "Deleting", "Running")
_SECONDS = 30.0
_POLL = re.compile(r"/(operations|DiskOperations|operationresults)/[^/]+$", re.IGNORECASE)
INJECTED = ("ServerTimeout", "ServiceUnavailable", "GatewayTimeout", "AuthorizationFailed", "429", "ResourceReadFailed")
"""Errors that no state of an account causes: only faults produce them."""
_BAD_REQUEST, _UNAVAILABLE = 400, 500


@dataclass
class Outcome:
    """The result of a sequence."""

    replayed: list[Recorded] = field(default_factory=list)
    skipped: list[tuple[Recorded, str]] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    """The differences."""


class Replay:
    """One sequence on an account of its own, with a clock that follows the recorded answers."""

    def __init__(self) -> None:
        self._now = 0.0
        self.account = Account(lambda: self._now)
        self.account.times = dict.fromkeys(self.account.times, _SECONDS)
        self.account.times.update(nic_reserved=0.0, index_lag=0.0, index_forget=0.0)
        self.account.limits.basic_addresses = True
        self.account.limits.regions += ("eastus2euap", "centraluseuap")
        self.arm = Arm(self.account, _BASE)
        self._token = self._login()
        self._urls: dict[str, str] = {}
        self._given = Given(self.arm)

    def _login(self) -> str:
        token = "recorded"  # noqa: S105 - no secret
        self.arm.login.let_in(token)
        return token

    def run(self, recorded: list[Recorded]) -> Outcome:
        """Replay a sequence."""
        outcome = Outcome()
        self._given.hints(recorded)
        for each in recorded:
            reason = self._unsupported(each)
            if reason:
                outcome.skipped.append((each, reason))
                continue
            answer = self._answer(each)
            outcome.replayed.append(each)
            outcome.found += [f"{each}: {line}" for line in differences(each, answer)]
            self._learn(each, answer)
        return outcome

    def _unsupported(self, recorded: Recorded) -> str:
        """Why an exchange is not replayed; empty if it is."""
        target = Path.parse(recorded.path)
        if target is None:
            return "not below a subscription"
        if _POLL.search(recorded.path):
            failed = isinstance(recorded.response, dict) and recorded.response.get("status") == "Failed"
            own = (
                failed and target.provider in ("Microsoft.Compute", "Microsoft.Network") and "locations" in target.types
            )
            known = own or _key(recorded.url) in self._urls
            return "" if known else "the operation was begun by what is not replayed"
        if recorded.method in ("PUT", "PATCH") and recorded.request is None and recorded.error not in INJECTED:
            return "its request was not recorded"
        return self._missing(recorded, target)

    def _missing(self, recorded: Recorded, target: Path) -> str:
        """What the stand-in lacks for an exchange."""
        body = f"{recorded.request} {recorded.response if recorded.error else ''}"
        for word in ("diskAccess", "applicationGateway"):
            if word in body:
                return f"the stand-in has no {word}"
        if target.provider:
            return "" if self._has(target) else f"the stand-in has no {target.provider}/{'/'.join(target.types)}"
        known = not target.types or target.types[-1].lower() in ("resources", "resourcegroups")
        return "" if known else f"the stand-in has no {'/'.join(target.types)}"

    def _has(self, target: Path) -> bool:
        if target.type in self.arm.kinds:
            return True
        above = self.arm.kinds.get(target.parent.type) or self.arm.kinds.get(target.parent.parent.type)
        actions = ("start", "restart", "poweroff", "deallocate", "redeploy", "reapply", "instanceview", "logs", "stop")
        known = (*actions, "simulateeviction", "retrievebootdiagnosticsdata")
        return above is not None and not target.is_item and target.types[-1].lower() in known

    def _answer(self, recorded: Recorded) -> Answer:
        if not _under_way(recorded):
            self._now += 10 * _SECONDS
            self.account.operations.settle()
        if recorded.error in INJECTED or (recorded.status >= _UNAVAILABLE and isinstance(recorded.response, str)):
            return self._injected(recorded)
        url = self._urls.get(_key(recorded.url), recorded.url)
        if _POLL.search(recorded.path) and _key(recorded.url) not in self._urls:
            url = self._failing(recorded)
        self._given.prepare(recorded)
        return self.arm.answer(self._request(recorded, url))

    def _request(self, recorded: Recorded, url: str) -> Request:
        parts = urlsplit(url)
        path = unquote(parts.path)
        query = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
        headers = {"authorization": f"Bearer {self._token}"}
        body = recorded.request if recorded.method in ("PUT", "PATCH", "POST") else None
        return Request(recorded.method, path, query, headers, body, Path.parse(path) or Path())

    def _injected(self, recorded: Recorded) -> Answer:
        from occopus_resource_azure.testing.known import KNOWN, known  # noqa: PLC0415
        from occopus_resource_azure.testing.server import refusal  # noqa: PLC0415

        if not recorded.error:
            return refusal(known("HtmlUnavailable", status=recorded.status), "")
        name = {"429": "ArmThrottled"}.get(recorded.error, recorded.error)
        if name in KNOWN:
            return refusal(known(name, headers=dict(KNOWN[name].get("headers", {}))), "")
        error = recorded.response["error"]
        fault = Fault("refuse", status=recorded.status, code=error["code"], message="-", target=error.get("target", ""))
        fault.headers["x-ms-failure-cause"] = "gateway"
        return refusal(fault, "")

    def _failing(self, recorded: Recorded) -> str:
        """The address of an operation that has failed like the recorded one."""
        target = Path.parse(recorded.path)
        assert target is not None
        url = self._given.failed_operation(target, recorded)
        self._now += 10 * _SECONDS
        return url

    def _learn(self, recorded: Recorded, answer: Answer) -> None:
        own = {name.lower(): value for name, value in answer.headers.items()}
        for name in ("azure-asyncoperation", "location"):
            if name in recorded.headers and name in own:
                self._urls[_key(recorded.headers[name])] = own[name]


def _key(url: str) -> str:
    """The address of an operation without the parts that differ between recordings: host and signature."""
    parts = urlsplit(url)
    return f"{unquote(parts.path).lower()}?monitor={'monitor=true' in parts.query}"


def _under_way(recorded: Recorded) -> bool:
    """Whether an answer reports an unfinished operation, or refuses a request because of one."""
    body = recorded.response if isinstance(recorded.response, dict) else {}
    state = body.get("status") or (body.get("properties") or {}).get("provisioningState")
    early = recorded.status >= _BAD_REQUEST and recorded.error not in (
        "ResourceNotFound",
        "ResourceGroupNotFound",
        "NotFound",
    )
    polled = _POLL.search(recorded.path) and recorded.status == 202  # noqa: PLR2004 - Accepted
    return bool(polled) or early or (recorded.method == "GET" and state in _UNDER_WAY)
