"""The simulated cloud without a process or a network, on a clock of the test's own: for unit tests.

::

    now = [0.0]
    cloud = MemoryCloud(lambda: now[0])
    handler = MemoryHandler(Connection("memory", {}, {}), cloud)
    cloud.set_faults([{"kind": "lost_reply", "operation": "create", "nth": 2}])

Time passes only when the test says so. A call that would hang raises what a handler's time limit would make of it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from occopus_core.api import (
    Address,
    AddressKind,
    AuthError,
    Connection,
    ContextForm,
    CreateRequest,
    Feature,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    ProviderError,
    QuotaError,
    ResourceHandler,
    ThrottledError,
    TransientError,
)
from occopus_core.testing.simcloud.inventory import PAGE, Inventory, Refusal
from occopus_core.testing.simcloud.service import Service

_ERRORS: Mapping[str, type[ProviderError]] = {
    "auth": AuthError,
    "not_found": NotFoundError,
    "quota": QuotaError,
    "permanent": PermanentError,
    "error_500": TransientError,
}
_STATES = {state.value: state for state in InstanceState}
_NUMBER = {"type": ["number", "string"], "minimum": 0, "default": 0}


class MemoryCloud:
    """The inventory, its faults and its counts. Thread-safe. `clock` returns seconds.

    `during` is called with the operation during every call, outside any lock: a test may block in it, to observe
    concurrent calls, or raise, to simulate a killed process.
    """

    def __init__(
        self, clock: Callable[[], float], *, seed: int = 0, during: Callable[[str], None] = lambda _operation: None
    ) -> None:
        self._service = Service(Inventory(clock), clock, seed)
        self._lock = threading.Lock()
        self._during = during

    def call(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one call; empty if the answer is cut or foreign. Raises `ProviderError`."""
        with self._lock, refused():
            call = self._service.open(operation, body)
        try:
            self._during(operation)
            if call.fault.hang:
                raise TransientError(f"memory cloud: {operation} was not answered in time")
            with self._lock, refused():
                answer = self._service.perform(call, body)
        finally:
            with self._lock:
                self._service.close()
        if call.fault.lost_reply:
            raise TransientError(f"memory cloud: the connection broke during {operation}")
        return {} if call.fault.cut_reply or call.fault.foreign_reply else answer

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the rules (see `occopus_core.testing.simcloud.faults`). Raises `ValueError`."""
        if any(rule.get("kind") == "latency" for rule in rules):
            raise ValueError("latency takes real time: use SimulatedCloud")
        with self._lock:
            self._service.set_faults(rules)

    def set_limits(
        self, quotas: Mapping[str, int] | None = None, images: Sequence[str] | None = None, page: int = PAGE
    ) -> None:
        """Set the most instances by project, the images (None: all but ``unknown…``), and the page size."""
        with self._lock:
            self._service.set_limits(quotas or {}, images, page)

    def change(self, id: str, action: str, reason: str = "", state: str = "") -> None:
        """``stop``, ``start``, ``fail`` or ``lose`` an instance, or ``set`` its `state` to any name.

        Raises `ValueError` for an unknown one.
        """
        with self._lock:
            try:
                self._service.inventory.change(id, action, reason, state)
            except Refusal as refusal:
                raise ValueError(refusal.message) from None

    def tag(self, id: str, token: str, owner: Mapping[str, Any]) -> None:
        """Write other tags to an instance. Raises `ValueError` for an unknown one."""
        with self._lock:
            found = self._service.inventory.find([id])
            if not found:
                raise ValueError(f"there is no instance '{id}'")
            found[0].token, found[0].owner = token, dict(owner)

    def inventory(self) -> list[dict[str, Any]]:
        """All instances, including unfinished, departing and not yet visible ones."""
        with self._lock:
            return self._service.inventory.everything()

    def calls(self) -> dict[str, Any]:
        """`total` by operation, and `most_at_once`."""
        with self._lock:
            return self._service.calls()

    def log(self) -> list[dict[str, Any]]:
        """The last 100,000 calls, oldest first: time, operation, tokens of a create or delete, and outcome."""
        with self._lock:
            return self._service.log()

    def reset(self) -> None:
        """Remove every instance, fault, limit and count."""
        with self._lock:
            self._service.reset()


class MemoryHandler(ResourceHandler):
    """The handler of a `MemoryCloud`; its `resource` section is that of type `sim`."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint", "project")
    harmless_keys: ClassVar[tuple[str, ...]] = ("project",)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset(ContextForm)
    features: ClassVar[frozenset[Feature]] = frozenset(Feature)
    max_concurrency: ClassVar[int] = 32
    poll_seconds: ClassVar[tuple[float, float]] = (0.01, 5.0)
    consistency_window: ClassVar[float] = 2.0
    page = PAGE
    """The most ids in one call."""

    def __init__(self, connection: Connection, cloud: MemoryCloud) -> None:
        super().__init__(connection)
        self.cloud = cloud

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section."""
        properties = {
            "endpoint": {"type": "string", "description": "Any text; one connection for each."},
            "project": {"type": "string", "description": "Whose quota the instance counts against."},
            "image": {"type": "string", "description": "Name of the image."},
            "boot_seconds": {**_NUMBER, "description": "Seconds until the instance is ready."},
            "delete_seconds": {**_NUMBER, "description": "Seconds that deletion takes."},
            "steps": {**_NUMBER, "minimum": 1, "default": 1, "description": "Calls it takes to create the instance."},
            "shutdown_seconds": {**_NUMBER, "description": "Seconds the instance takes to stop when it is asked to."},
            "fail": {"type": "string", "description": "Reason for which the instance fails when it has booted."},
            "port": {"type": "string", "description": "A port that only one instance of the project can have."},
            "output": {"type": "string", "description": "What the instance prints when it has booted."},
        }
        return {"type": "object", "properties": properties, "additionalProperties": False}

    @classmethod
    def exclusive(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """The port."""
        return [f"the port {resource['port']}"] if resource.get("port") else []

    @classmethod
    def unshared(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """The port."""
        return MemoryHandler.exclusive(resource)

    def create(self, request: CreateRequest) -> Instance:
        """Do one step of the creation. Raises `ProviderError`."""
        return _instance(self.asked("create", _order(request), "instance")["instance"])

    def ensure(self, request: CreateRequest) -> str:
        """Ask for the image. Raises `ProviderError`."""
        return str(self.asked("ensure", _order(request), "progress")["progress"])

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """One call for each page. Raises `ProviderError`."""
        found = {id: Instance(id, InstanceState.ABSENT) for id in ids}
        for page in self._pages(ids):
            found.update((instance.id, instance) for instance in self.listed("describe", {"ids": page}))
        return found

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """Everything with the owner's tags, page by page. Raises `ProviderError` when iterated."""
        yield from self.listed("list", {"owner": asdict(owner)})

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """One call for each page of ids; idempotent. Raises `ProviderError`."""
        results: dict[InstanceId, ProviderError | None] = {}
        for page in self._pages(ids):
            answers = self.asked("delete", {"ids": page}, "results")["results"]
            results.update((id, _error(Refusal(**answers[id])) if answers[id] else None) for id in page)
        return results

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """One call for each page of ids; idempotent. Raises `ProviderError`."""
        for page in self._pages(ids):
            self.asked("stop", {"ids": page}, "results")
        return dict.fromkeys(ids)

    def mark(self, id: InstanceId, owner: Owner, token: str) -> None:
        """Write the tags; idempotent. Raises `NotFoundError`."""
        try:
            self.cloud.tag(id, token, asdict(owner))
        except ValueError as error:
            raise NotFoundError(str(error)) from None

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """One call for each page of ids. Raises `ProviderError`."""
        found: dict[InstanceId, str | None] = {}
        for page in self._pages(ids):
            found.update(self.asked("logs", {"ids": page, "lines": lines}, "logs")["logs"])
        return found

    def logs_since(self, ids: Sequence[InstanceId], lines: int, since: float) -> Mapping[InstanceId, str | None]:
        """One call for each page of ids; the output appears when the instance has booted. Raises `ProviderError`."""
        found: dict[InstanceId, str | None] = {}
        for page in self._pages(ids):
            found.update(self.asked("logs", {"ids": page, "lines": lines, "since": since}, "logs")["logs"])
        return found

    def listed(self, operation: str, body: Mapping[str, Any]) -> Iterator[Instance]:
        """The instances on all pages of an answer. Raises `ProviderError` when iterated."""
        after = ""
        while True:
            answer = self.asked(operation, {**body, "after": after}, "instances")
            yield from map(_instance, answer["instances"])
            after = answer.get("next", "")
            if not after:
                return

    def asked(self, operation: str, body: Mapping[str, Any], part: str) -> Mapping[str, Any]:
        """The answer to one call, which must have this part. Raises `ProviderError`."""
        answer = self.cloud.call(operation, body)
        if part not in answer:
            raise TransientError(f"memory cloud: what it says to {operation} is no answer")
        return answer

    def _pages(self, ids: Sequence[InstanceId]) -> Iterator[list[InstanceId]]:
        return (list(ids[start : start + self.page]) for start in range(0, len(ids), self.page))


def _order(request: CreateRequest) -> dict[str, Any]:
    context = {
        "user_data": request.context.user_data,
        "env": request.context.env or None,
        "command": request.context.command,
    }
    return {**request.resource, **context, "token": request.token, "owner": asdict(request.owner)}


@contextlib.contextmanager
def refused(who: str = "memory cloud") -> Iterator[None]:
    """The error for a refusal."""
    try:
        yield
    except Refusal as refusal:
        raise _error(refusal, who) from None


def _error(refusal: Refusal, who: str = "memory cloud") -> ProviderError:
    message = f"{who}: {refusal.message}"
    if refusal.kind == "throttle":
        return ThrottledError(message, retry_after=refusal.retry_after)
    return _ERRORS[refusal.kind](message)


def _instance(answer: Mapping[str, Any]) -> Instance:
    return Instance(
        id=answer["id"],
        state=_STATES.get(answer["state"], InstanceState.UNKNOWN),
        addresses=tuple(map(Address, answer["addresses"], (AddressKind.PUBLIC, AddressKind.PRIVATE))),
        token=answer["token"],
        owner=Owner(**answer["owner"]),
        raw_state=answer["state"],
        reason=answer["reason"],
    )
