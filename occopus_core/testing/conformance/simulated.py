"""Harnesses for handlers of the simulated cloud, in memory or in a separate process."""

from __future__ import annotations

import shlex
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

from occopus_core.api import Connection, Context, CreateRequest, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance.harness import PRINTED, Fault, FaultInjector, Kind, Operation, ResourceHarness
from occopus_core.testing.memory import MemoryCloud, MemoryHandler
from occopus_core.testing.simcloud.inventory import PAGE, digest

_KINDS = {
    Fault.AUTH: "auth",
    Fault.QUOTA: "quota",
    Fault.THROTTLE: "throttle",
    Fault.PERMANENT: "permanent",
    Fault.SERVER_ERROR: "error_500",
    Fault.HANG: "hang",
    Fault.LOST_REPLY: "lost_reply",
    Fault.CUT_REPLY: "cut_reply",
    Fault.FOREIGN_REPLY: "foreign_reply",
}


class CloudControl(Protocol):
    """The controls that both variants of the simulated cloud have for tests."""

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the rules."""

    def set_limits(
        self, quotas: Mapping[str, int] | None = None, images: Sequence[str] | None = None, page: int = PAGE
    ) -> None:
        """Replace the limits."""

    def change(self, id: str, action: str, reason: str = "", state: str = "") -> None:
        """Change an instance as a user would."""

    def inventory(self) -> list[dict[str, Any]]:
        """All instances."""

    def calls(self) -> dict[str, Any]:
        """The counts of calls."""


class CloudFaults(FaultInjector):
    """Fault rules of the simulated cloud."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault)

    def __init__(self, cloud: CloudControl) -> None:
        self._cloud = cloud
        self._rules: list[dict[str, Any]] = []

    def inject(self, fault: Fault, operation: Operation) -> None:
        """Add a rule for all calls of the operation."""
        self._add({"kind": _KINDS[fault], "operation": operation.removesuffix("_owned"), "seconds": 3})

    def refuse_deletion(self, id: InstanceId) -> None:
        """Add a rule for the instance's token."""
        token = next(machine["token"] for machine in self._cloud.inventory() if machine["id"] == id)
        self._add({"kind": "permanent", "operation": "delete", "token": token})

    def clear(self) -> None:
        """Remove all rules."""
        self._rules = []
        self._cloud.set_faults([])

    def _add(self, rule: dict[str, Any]) -> None:
        self._rules.append(rule)
        self._cloud.set_faults(self._rules)


class CloudHarness(ResourceHarness):
    """Code that both harnesses share."""

    page_size: ClassVar[int | None] = 3
    connection = Connection("sim", {"endpoint": "http://127.0.0.1"}, {"api_key": "a-key-that-is-secret"})
    """The account at the cloud."""
    times: ClassVar[Mapping[str, float]] = {"boot_seconds": 1, "delete_seconds": 1}
    """How long operations on instances take, in seconds."""
    shutdown_seconds: ClassVar[float] = 3
    """How long an instance of kind ``graceful`` takes to shut down."""

    def __init__(self, cloud: CloudControl, faults: CloudFaults) -> None:
        super().__init__()
        self.cloud = cloud
        self.faults = faults
        cloud.set_limits(page=self.page_size or PAGE)

    @abstractmethod
    def connected(self, connection: Connection) -> ResourceHandler:
        """A new handler object on the connection."""

    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """Five seconds for a call by default."""
        return self.connected(replace(self.connection, call_timeout=call_timeout or 5.0))

    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """Three steps for ``stepwise``."""
        resource = {
            "type": self.connection.type,
            "endpoint": self.connection.settings["endpoint"],
            "image": "unknown-image" if kind == "missing" else "debian-12",
            "steps": 3 if kind == "stepwise" else 1,
            "shutdown_seconds": self.shutdown_seconds if kind == "graceful" else 0,
            "output": "".join(f"{line}\n" for line in PRINTED) if kind == "printing" else "",
            **self.times,
        }
        return CreateRequest(token, owner, resource, Context(user_data="#cloud-config\npassword: hush-hush\n"))

    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Ids from the far end of the numbers that the cloud gives."""
        return [InstanceId(f"sim-ffff{number:04x}") for number in range(count)]

    def provider_calls(self) -> int:
        """The total over all operations."""
        return sum(self.cloud.calls()["total"].values())

    def received(self, id: InstanceId, sent: Context) -> Context:
        """The context; the cloud keeps digests, so a value that differs from the sent one is returned as its digest."""
        given = self._machine(id)["order"]

        def read(key: str, value: Any, kept: Any) -> Any:
            return value if given[key] == digest(kept) else given[key] and str(given[key])

        env = read("env", sent.env, sent.env or None)
        return Context(
            user_data=read("user_data", sent.user_data, sent.user_data),
            env=env if isinstance(env, tuple) else (str(env),),
            command=read("command", _words(sent.command), sent.command),
        )

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Use the cloud's ``stop`` and ``fail``, or a state that no handler knows."""
        if state is InstanceState.UNKNOWN:
            self.cloud.change(id, "set", state="hibernating")
        else:
            self.cloud.change(id, "stop" if state is InstanceState.STOPPED else "fail", "lightning")

    def shut_down(self, id: InstanceId) -> bool:
        """Whether it stopped when its shutdown was complete."""
        machine = self._machine(id)
        return machine["state"] == "stopped" and not machine["imposed"]

    def _machine(self, id: InstanceId) -> dict[str, Any]:
        return next(machine for machine in self.cloud.inventory() if machine["id"] == id)


class MemoryHarness(CloudHarness):
    """A separate cloud in memory for each harness; `settle` advances the clock by a second."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("xmlrpc.client",)
    """Stands for a provider's library."""
    short_timeout: ClassVar[float] = 0.1
    grace: ClassVar[float] = 0.5
    not_applicable: ClassVar[Mapping[str, str]] = {"refused_connection": "in memory there is no connection to refuse"}

    def __init__(self, handler_class: Callable[[Connection, MemoryCloud], ResourceHandler] = MemoryHandler) -> None:
        self._now = 0.0
        self._handler_class = handler_class
        self._memory = MemoryCloud(lambda: self._now)
        super().__init__(self._memory, CloudFaults(self._memory))

    def connected(self, connection: Connection) -> ResourceHandler:
        """A handler of the class under test."""
        handler = self._handler_class(connection, self._memory)
        vars(handler)["page"] = self.page_size
        return handler

    def settle(self) -> None:
        """One second of the clock."""
        self._now += 1

    def lose_tags(self, id: InstanceId) -> None:
        """Write tags of another owner."""
        self._memory.tag(id, "", {"installation": "", "infra_id": "", "node_name": "", "node_id": ""})

    def close(self) -> None:
        """Nothing to do: the cloud ends with the harness."""


def _words(command: str | tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The words of a command: the cloud stores a text, which an instance splits."""
    return tuple(shlex.split(command)) if isinstance(command, str) else command
