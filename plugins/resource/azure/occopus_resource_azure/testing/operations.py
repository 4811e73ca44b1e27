"""Asynchronous operations, in both forms: Azure-AsyncOperation and Location."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError

Style = Literal["compute", "disk", "network", "container", "group"]

_SEGMENTS = {
    "compute": ("Microsoft.Compute", "operations", "operations"),
    "disk": ("Microsoft.Compute", "DiskOperations", "DiskOperations"),
    "network": ("Microsoft.Network", "operations", "operationResults"),
    "container": ("Microsoft.ContainerInstance", "operations", "operationresults"),
}
_CONTAINER_VERSION = "2018-06-01"
"""The api-version in the operation URLs of container instances, for any api-version of the request."""


def _nothing() -> None:
    return


@dataclass
class Operation:
    """One asynchronous operation."""

    style: Style
    target: str
    """The id of the resource it works on."""
    location: str
    verb: str
    """Its name in error messages, such as ``PutSubnetOperation``."""
    started: float
    due: float | None
    """When it ends; None if it never does."""
    finish: Callable[[], None] = _nothing
    failed: Callable[[], None] = _nothing
    error: Json | None = None
    """The error with which it fails when it is due."""
    output: Callable[[], Json] | None = None
    events: Callable[[], list[Json]] | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    ended: float | None = None
    pause: str = ""
    """Retry-After of polls until it ends."""

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.ended is None

    @property
    def status(self) -> str:
        """Its status in the answer to polls."""
        if self.running:
            return "Pending" if self.style == "container" else "InProgress"
        return "Failed" if self.error else "Succeeded"


class Operations:
    """All operations of an account, driven by its clock."""

    def __init__(self, now: Callable[[], float], written: Callable[[float], str]) -> None:
        self._now = now
        self._written = written
        self._all: dict[str, Operation] = {}
        self._running: dict[str, Operation] = {}
        self.moment: float | None = None
        """The end of the operation that is being finished."""

    def start(self, operation: Operation, fault: Fault | None = None) -> Operation:
        """Begin an operation, changed by its fault."""
        if fault is not None:
            if fault.kind == "fail_operation":
                operation.error = fault.error()
            elif fault.kind == "stuck":
                operation.due = None
            if operation.due is not None:
                operation.due += fault.seconds
        self._all[operation.id] = self._running[operation.id] = operation
        return operation

    def settle(self) -> None:
        """End operations that are due, in order of time, including those that begin here and are due."""
        while True:
            due = [each for each in self._running.values() if each.due is not None]
            first = min(due, key=lambda each: each.due or 0.0, default=None)
            if first is None or first.due is None or first.due > self._now():
                return
            self.end(first, first.due)

    def end(self, operation: Operation, at: float) -> None:
        """End an operation at a given time."""
        operation.ended = self.moment = at
        self._running.pop(operation.id, None)
        try:
            (operation.failed if operation.error else operation.finish)()
        finally:
            self.moment = None

    def preempt(self, operation: Operation | None) -> None:
        """End an operation without effect because another one replaces it."""
        if operation is not None and operation.running:
            operation.error = {
                "code": "OperationPreempted",
                "message": "The operation has been preempted by a more recent operation.",
            }
            operation.ended = self._now()
            self._running.pop(operation.id, None)

    def headers(self, base: str, operation: Operation, version: str, *, location: bool) -> dict[str, str]:
        """The headers with its address."""
        subscription = operation.target.split("/")[2]
        if operation.style == "group":
            return {"Location": f"{base}/subscriptions/{subscription}/operationresults/{operation.id}?{_q(version)}"}
        provider, status, result = _SEGMENTS[operation.style]
        start = f"{base}/subscriptions/{subscription}/providers/{provider}/locations/{operation.location}"
        if operation.style == "container":
            version = _CONTAINER_VERSION
        extra = f"p={uuid.uuid5(uuid.NAMESPACE_URL, operation.location)}&" if provider == "Microsoft.Compute" else ""
        monitor = "monitor=true&" if provider == "Microsoft.Compute" else ""
        made = {"Azure-AsyncOperation": f"{start}/{status}/{operation.id}?{extra}{_q(version)}"}
        if location:
            made["Location"] = f"{start}/{result}/{operation.id}?{extra}{monitor}{_q(version)}"
        return made

    def poll(self, base: str, id: str, segment: str, version: str, *, monitor: bool) -> Answer:
        """The answer to a GET of a URL from `headers`. Raises `RefusedError`."""
        operation = self._all.get(id)
        if operation is None:
            raise RefusedError(404, "NotFound", "The entity was not found in this Azure location.")
        if operation.style == "group":
            return self._group_result(base, operation, version)
        if monitor or segment.lower() == "operationresults":
            return self._result(base, operation, version)
        headers = {"Retry-After": operation.pause} if operation.pause and operation.running else {}
        return Answer(200, self._status(operation), headers)

    def _group_result(self, base: str, operation: Operation, version: str) -> Answer:
        if operation.running:
            return Answer(202, None, {**self.headers(base, operation, version, location=True), "Retry-After": "15"})
        return Answer(200)

    def _result(self, base: str, operation: Operation, version: str) -> Answer:
        if operation.running:
            location = self.headers(base, operation, version, location=True)["Location"]
            return Answer(202, None, {"Location": location, "Retry-After": "10"})
        if operation.error:
            raise RefusedError(409, operation.error["code"], operation.error["message"])
        return Answer(200, operation.output() if operation.output else None)

    def _status(self, operation: Operation) -> Json:
        made: Json = {"status": operation.status}
        if operation.style in ("compute", "disk"):
            made.update(name=operation.id, startTime=self._written(operation.started))
            if operation.ended is not None:
                made["endTime"] = self._written(operation.ended)
        elif operation.style == "container":
            events = operation.events() if operation.events and not operation.running else []
            made.update(id=operation.target, startTime=self._written(operation.started), properties={"events": events})
        if not operation.running:
            if operation.error:
                made["error"] = self._error(operation, operation.error)
            elif operation.style == "disk" and operation.output:
                made["properties"] = {"output": operation.output()}
        return made

    @staticmethod
    def _error(operation: Operation, error: Json) -> Json:
        return {**error, "details": error.get("details", [])} if operation.style == "network" else error


def group_id(name: str, region: str) -> str:
    """The id of the deletion of a resource group: long base64 without padding."""
    text = f'{{"jobId":"RESOURCEGROUPDELETIONJOB-{name.upper()}-{region.upper()}-{secrets.token_hex(3)}"}}'
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _q(version: str) -> str:
    """The query of an operation URL: the version, and a signature that is not checked."""
    ticks: Any = secrets.randbelow(10**18)
    signature = "&".join(f"{name}={secrets.token_urlsafe(12)}" for name in "csh")
    return f"api-version={version}&t={ticks}&{signature}"
