"""The harness that the author of a configuration manager writes for the suite, and helpers for the clauses."""

from __future__ import annotations

import hashlib
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from occopus_core.api import Address, ConfigManager, ConfigNode, ConfigState, ConfigStatus, InstanceId, Peer
from occopus_core.testing import suite
from occopus_core.testing.conformance.harness import Fault

Kind = Literal["plain", "endless", "failing"]
Operation = Literal[
    "register", "configure", "status", "cancel", "leave", "forget", "forget_infrastructure", "list_registered"
]
OPERATIONS: tuple[Operation, ...] = (
    "register",
    "configure",
    "status",
    "cancel",
    "leave",
    "forget",
    "forget_infrastructure",
    "list_registered",
)
ADDRESS = "127.0.0.1"


class ConfigHarness(suite.Harness, ABC):
    """One connection to one configuration manager. The suite makes a new harness for each clause and closes it."""

    sdk_modules: ClassVar[tuple[str, ...]] = ()
    """Modules of the manager's library, none of which may be imported for the schema."""
    holds: ClassVar[bool] = True
    """False if the manager stores no data for a node that could be left behind."""
    published: ClassVar[Mapping[str, Any]] = {}
    """The attributes that a ``plain`` node publishes, at least."""
    printed: ClassVar[str] = ""
    """A line that the job of a ``failing`` node prints; empty if the manager has no output of jobs."""
    faults: ClassVar[frozenset[Fault]] = frozenset()
    """The faults that `inject` supports."""
    crowd: ClassVar[int] = 8
    """How many nodes are configured concurrently to find races."""
    patience: ClassVar[int] = 400
    """How often `settle` is called before an operation in progress counts as stuck."""
    short_timeout: ClassVar[float] = 0.5
    """A `call_timeout` in seconds that is short enough to wait for."""
    grace: ClassVar[float] = 1.5
    """Seconds by which a busy machine may exceed `call_timeout`."""

    def __init__(self) -> None:
        self.installation = f"conformance-{uuid.uuid4().hex[:12]}"
        """The installation of the suite's nodes; a few belong to another one, with ``-other`` appended."""

    @abstractmethod
    def manager(self, *, call_timeout: float | None = None) -> ConfigManager:
        """A new object on the connection, with a time limit in seconds for its calls or a sensible one."""

    @abstractmethod
    def section(self, kind: Kind = "plain", variant: int = 0) -> Mapping[str, Any]:
        """A rendered `config_management` section, without `type`, with a secret if sections can have one.

        The job of ``plain`` succeeds, that of ``failing`` fails, that of ``endless`` never ends by itself. Another
        `variant` is another configuration.
        """

    @abstractmethod
    def settle(self) -> None:
        """Let a little time pass, so that jobs proceed."""

    def jobs(self, node: ConfigNode) -> int:
        """The number of jobs started for the node."""
        raise NotImplementedError("count the jobs of a node")

    def lose(self, node: ConfigNode) -> None:
        """Make the manager lose all data of the node."""
        raise NotImplementedError("have the manager lose a node")

    def calls(self) -> int:
        """The number of calls to the manager so far."""
        raise NotImplementedError("count the manager's calls")

    def inject(self, fault: Fault) -> None:
        """Make every call fail in this way, until `clear`."""
        raise NotImplementedError("make the manager fail")

    def clear(self) -> None:
        """Let the manager work again. Idempotent."""

    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown: the secrets of its credentials (without `user` and the like) and sections."""
        return suite.secrets_of(self.manager().connection.auth)


def node(
    harness: ConfigHarness,
    kind: Kind = "plain",
    *,
    variant: int = 0,
    infra_id: str = "",
    node_id: str = "",
    foreign: bool = False,
) -> ConfigNode:
    """A running node with an address, by default of a new infrastructure."""
    section = harness.section(kind, variant)
    known = node_id or str(uuid.uuid4())
    infra_id = infra_id or f"i-{uuid.uuid4().hex[:8]}"
    attributes: dict[str, Any] = {"variant": variant}
    address = Address(ADDRESS)
    return ConfigNode(
        installation=harness.installation + ("-other" if foreign else ""),
        infra_id=infra_id,
        infra_name="conformance",
        node_name="web",
        node_id=known,
        token=f"t-{uuid.uuid5(uuid.NAMESPACE_OID, known).hex}",
        section=section,
        attributes=attributes,
        generation=hashlib.sha256(json.dumps([section, attributes], sort_keys=True).encode()).hexdigest(),
        instance_id=InstanceId(f"vm-{known}"),
        addresses=(address,),
        peers=(Peer("web", known, (address,)),),
    )


def status(manager: ConfigManager, one: ConfigNode) -> ConfigStatus:
    """The status of one node."""
    return manager.status([one])[one.node_id]


def patiently(harness: ConfigHarness, done: Callable[[], bool], what: str) -> None:
    """Settle until `done`; otherwise fail with the message that `what` never happened."""
    for _ in range(harness.patience):
        if done():
            return
        harness.settle()
    raise AssertionError(f"{what}: not so after {harness.patience} times settling")


def becomes(harness: ConfigHarness, manager: ConfigManager, one: ConfigNode, wanted: ConfigState) -> ConfigStatus:
    """Settle until the node is in the state; return its status."""
    latest: list[ConfigStatus] = []

    def arrived() -> bool:
        latest.append(status(manager, one))
        return latest[-1].state is wanted

    for _ in range(harness.patience):
        if arrived():
            return latest[-1]
        harness.settle()
    raise AssertionError(f"a node that should become {wanted.name} stays {latest[-1].state.name}")


def begun(harness: ConfigHarness, manager: ConfigManager, kind: Kind = "plain", **more: Any) -> ConfigNode:
    """A registered node whose job has been started."""
    one = node(harness, kind, **more)
    manager.register(one)
    manager.configure(one)
    return one


def perform(manager: ConfigManager, operation: Operation, one: ConfigNode) -> object:
    """Call the operation of this name with one node."""
    if operation == "list_registered":
        return list(manager.list_registered(one.installation))
    given = {"status": [one], "cancel": [one], "forget_infrastructure": one.infra_id}.get(operation, one)
    return getattr(manager, operation)(given)
