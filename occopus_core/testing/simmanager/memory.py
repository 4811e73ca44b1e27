"""The simulated configuration manager without a process or a network, on a clock of the test's own.

::

    now = [0.0]
    store = MemoryManager(lambda: now[0])
    manager = MemoryConfigManager(Connection("memory", {}, {}), store)
    store.set_faults([{"kind": "lost_reply", "operation": "register", "nth": 1}])
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import (
    ConfigManager,
    ConfigNode,
    ConfigState,
    ConfigStatus,
    Connection,
    PermanentError,
    Registered,
    TransientError,
)
from occopus_core.testing.memory import refused
from occopus_core.testing.simmanager.service import ManagerService

SECTION: Mapping[str, Any] = {
    "endpoint": {"type": "string", "description": "One connection for each."},
    "seconds": {"type": ["number", "string"], "minimum": 0, "default": 0, "description": "Seconds that a job takes."},
    "queued_seconds": {
        "type": ["number", "string"],
        "minimum": 0,
        "default": 0,
        "description": "Seconds that a job waits for its turn before it begins.",
    },
    "fail": {"type": "string", "default": "", "description": "Reason for which a job fails; empty for one that works."},
    "output": {"type": "string", "default": "", "description": "What a job that fails has printed."},
    "leave_seconds": {
        "type": ["number", "string"],
        "minimum": 0,
        "default": 0,
        "description": "Seconds that it takes to leave.",
    },
    "publish": {"type": "object", "default": {}, "description": "Attributes that the node publishes once it is ready."},
    "role": {"type": ["string", "array"], "description": "Anything: another value is another generation."},
}


class MemoryManager:
    """The manager's data, faults and counts. Thread-safe. `clock` returns seconds.

    `during` is called with the operation during every call, outside any lock; `answered` after its effect.
    """

    def __init__(self, clock: Callable[[], float], *, seed: int = 0) -> None:
        self.service = ManagerService(clock, seed)
        self.during: Callable[[str], None] = lambda _operation: None
        self.answered: Callable[[str], None] = lambda _operation: None
        self._lock = threading.Lock()

    def call(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one call. Raises `ProviderError`."""
        with self._lock, refused("memory manager"):
            call = self.service.open(operation, body)
        try:
            self.during(operation)
            if call.fault.hang:
                raise TransientError(f"memory manager: {operation} was not answered in time")
            with self._lock, refused("memory manager"):
                answer = self.service.perform(call, body)
            self.answered(operation)
        finally:
            with self._lock:
                self.service.close()
        if call.fault.lost_reply:
            raise TransientError(f"memory manager: the connection broke during {operation}")
        return answer

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the fault rules (see `occopus_core.testing.simcloud.faults`). Raises `ValueError`."""
        with self._lock:
            self.service.set_faults(rules)

    def operations(self, *left_out: str) -> list[tuple[str, str]]:
        """The calls so far, as operation and name of a node; some operations can be left out."""
        return [
            (call["operation"], name)
            for call in self.service.log()
            for name in call["nodes"]
            if call["operation"] not in left_out
        ]


class MemoryConfigManager(ConfigManager):
    """The plugin of a `MemoryManager`."""

    contract_version: ClassVar[int] = 1
    max_concurrency: ClassVar[int] = 32
    poll_seconds: ClassVar[tuple[float, float]] = (0.1, 5.0)

    def __init__(self, connection: Connection, store: MemoryManager) -> None:
        super().__init__(connection)
        self.store = store

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """The `config_management` section."""
        return {"type": "object", "properties": SECTION, "additionalProperties": False}

    def check(self, node: ConfigNode) -> None:
        """Raises `PermanentError` for an invalid number."""
        for key in ("seconds", "queued_seconds", "leave_seconds"):
            try:
                float(node.section.get(key, 0))
            except (TypeError, ValueError):
                raise PermanentError(f"config_management.{key} must be a number") from None

    def template_variables(self, node: ConfigNode) -> Mapping[str, Any]:
        """`managed_by`: the endpoint and the name of the node."""
        return {"managed_by": f"{self.connection.settings.get('endpoint', '')} {node.node_name}"}

    def register(self, node: ConfigNode) -> None:
        """Raises `ProviderError`."""
        self.store.call("register", {"nodes": [as_json(node)]})

    def configure(self, node: ConfigNode) -> None:
        """Raises `ProviderError`."""
        self.store.call("configure", {"nodes": [as_json(node)]})

    def status(self, nodes: Sequence[ConfigNode]) -> Mapping[str, ConfigStatus]:
        """Raises `ProviderError`."""
        answer = self.store.call("status", {"nodes": [as_json(node) for node in nodes]})["status"]
        return {
            node_id: ConfigStatus(**{**each, "state": ConfigState(each["state"])}) for node_id, each in answer.items()
        }

    def cancel(self, nodes: Sequence[ConfigNode]) -> None:
        """Raises `ProviderError`."""
        self.store.call("cancel", {"nodes": [as_json(node) for node in nodes]})

    def leave(self, node: ConfigNode) -> bool:
        """Raises `ProviderError`."""
        return bool(self.store.call("leave", {"nodes": [as_json(node)]})["left"])

    def forget(self, node: ConfigNode) -> None:
        """Raises `ProviderError`."""
        self.store.call("forget", {"nodes": [as_json(node)]})

    def forget_infrastructure(self, infra_id: str) -> None:
        """Raises `ProviderError`."""
        self.store.call("forget_infrastructure", {"infra_id": infra_id})

    def list_registered(self, installation: str) -> Iterable[Registered]:
        """Raises `ProviderError`."""
        return [Registered(**each) for each in self.store.call("list", {"installation": installation})["nodes"]]


def as_json(node: ConfigNode) -> dict[str, Any]:
    """A node in the JSON of the simulated manager."""
    return {
        "node_id": node.node_id,
        "installation": node.installation,
        "infra_id": node.infra_id,
        "node_name": node.node_name,
        "token": node.token,
        "section": dict(node.section),
        "attributes": dict(node.attributes),
        "mapped": dict(node.mapped),
        "generation": node.generation,
        "addresses": [address.value for address in node.addresses],
        "peers": [f"{peer.node_name} {peer.addresses[0].value}" for peer in node.peers if peer.addresses],
    }
