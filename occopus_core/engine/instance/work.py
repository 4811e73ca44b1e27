"""One instance that the engine is working on."""

from __future__ import annotations

import dataclasses
import enum
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.resource import ResourceHandler
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.engine.planning.exclusive import Claims
from occopus_core.engine.planning.preparation import Prepared
from occopus_core.store.configurations import ConfigurationRecord
from occopus_core.store.records import InstanceRecord, Stage


class Phase(enum.Enum):
    """The present step of an instance, in more detail than its row. See `lifecycle.RULES`."""

    RESERVED = "reserved"
    """It has a row; no call was made for it."""
    AWAITING = "awaiting"
    """It waits for attributes of its dependees."""
    ENSURING = "ensuring"
    """Its provider makes sure that it can be created, before another instance is deleted that is in its way."""
    PREPARING = "preparing"
    """Its request is rendered, and it is registered with its configuration manager."""
    CREATING = "creating"
    """`create` is called until the provider has it."""
    BOOTING = "booting"
    """The provider is starting it."""
    CONFIGURING = "configuring"
    """Its configuration manager configures it; the time limit starts with its job."""
    CHECKING = "checking"
    """Its health checks are running."""
    READY = "ready"
    PARTING = "parting"
    """It is ready; its configuration manager takes it out of service, because it gets another one, or no manager."""
    RECONFIGURING = "reconfiguring"
    """It is ready, and is being configured again."""
    RECHECKING = "rechecking"
    """It is ready and kept by a build, and its new health checks are running."""
    LEAVING = "leaving"
    """Its configuration manager takes it out of service before its deletion."""
    STOPPING = "stopping"
    """It is shutting down."""
    DELETING = "deleting"
    """It is being found and deleted; its row is removed when the provider reports it absent."""


@dataclass(slots=True, eq=False)
class Clock:
    """The time limit of one phase. Times are monotonic, in seconds; only `lifecycle` uses it."""

    phase: Phase
    began: float
    limit: float | None
    ends: float | None
    queues: list[Callable[[], float]] = field(default_factory=list)
    """For each queue in which a call for it waits: returns when the queue last moved."""


@dataclass(slots=True, eq=False)
class Proof:
    """What is known of the health of an instance that is to be proved. Times are monotonic, in seconds."""

    checks: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The value for each health checker."""
    awaited: set[str] = field(default_factory=set)
    """The checks that have to pass, for the first time or again."""
    passed_at: dict[str, float] = field(default_factory=dict)
    """When each check last passed."""
    failing: dict[str, str] = field(default_factory=dict)
    """The reason of each check whose last answer was a failure."""
    reported_at: float = 0.0
    """When the provider last reported the instance as READY."""
    is_down: bool = False
    """The provider's last report was another one."""
    held_since: float | None = None
    """Since when everything holds."""
    is_timed: bool = False
    """It will be judged again at a set time."""


@dataclass(slots=True, eq=False)
class Work:
    """An instance under way. Only the loop's thread changes it, apart from what calls record about themselves."""

    record: InstanceRecord
    implementation: Implementation
    alternatives: deque[Implementation] = field(default_factory=deque)
    """Implementations to try when this one cannot be used."""
    link: OpenConnection[ResourceHandler] | None = None
    unreachable: str = ""
    """Why it has no connection: the plugin of its provider cannot be loaded, or the credentials file is wrong."""
    prepared: Prepared | None = None
    configuration: ConfigurationRecord | None = None
    """Its configuration record; None without a manager, or before its registration."""
    may_exist: bool = True
    """The provider may have created it: the provider is asked before the row is removed."""
    calling: bool = False
    """A call is under way that may create or change the instance, or that reads its output: it is not deleted yet."""
    given_up: bool = False
    """The call under way has exceeded its time and is not waited for."""
    dropping: bool = False
    """It is to be dropped; its creation stops."""
    may_drop: bool = False
    """It may be dropped now: all its dependents are gone."""
    failures: int = 0
    """Failed calls in a row."""
    failing_since: float = 0.0
    watched_since: float = 0.0
    """When (monotonic) the present wait started."""
    last_called: float = 0.0
    """When (seconds since 1970) `create` was last called, then when that call ended; 0 for never.

    The provider may hide the result for a while after that.
    """
    creations: int = 0
    """How often `create` was called for it; those of earlier processes count as one."""
    asked_to_go: bool = False
    """Its deletion has been requested at least once."""
    drop_reported: bool = False
    """The event of its drop has been reported."""
    proof: Proof = field(default_factory=Proof, repr=False)
    """The results of its health checks until it is ready."""
    remark: str = ""
    """What is added to the reason if it fails, such as a script that failed while its health checks do not pass."""
    clock: Clock | None = None
    """Its phase and time limit; None until this process starts work on it."""
    waiting_for: str = ""
    claims: Claims | None = field(default=None, repr=False)
    """What it holds that only one instance at a time can have, if it is to go; None if that is not known."""
    reported_waits: set[tuple[str, str]] = field(default_factory=set)
    """What its creation has waited for so far: the digest of the implementation and the text."""

    @property
    def node_id(self) -> str:
        """The id of the instance in Occopus."""
        return self.record.node_id

    @property
    def node_name(self) -> str:
        """The name of its node."""
        return self.record.node_name

    @property
    def stage(self) -> Stage:
        """Its stage, from its row."""
        return self.record.stage

    @property
    def handler(self) -> ResourceHandler:
        """The handler of its connection."""
        assert self.link is not None, "an instance has a connection before its provider is called"
        return self.link.plugin

    def update(self, **changes: Any) -> InstanceRecord:
        """The record with changed values, for the caller to commit. Only `lifecycle` changes the stage."""
        self.record = dataclasses.replace(self.record, **changes)
        return self.record

    def restart_watch(self, monotonic: float) -> None:
        """Start a new wait: poll soon, then at growing intervals."""
        self.watched_since = monotonic
        self.failures = 0


class Works:
    """The instances of an infrastructure that have a row, by the names of their nodes."""

    def __init__(self, works: Iterable[Work]) -> None:
        self._by_node: dict[str, dict[Work, None]] = {}
        for work in works:
            self.add(work)

    def __contains__(self, work: Work) -> bool:
        return work in self.of(work.node_name)

    def all(self) -> list[Work]:
        """All instances, node by node."""
        return [work for works in self._by_node.values() for work in works]

    def of(self, node_name: str) -> Collection[Work]:
        """The instances of a node."""
        return self._by_node.get(node_name, {})

    def beside(self, changed: Mapping[str, Iterable[Work]]) -> Works:
        """The same, with these instances of the changed nodes, by name."""
        made = Works(())
        made._by_node = {**self._by_node, **{name: dict.fromkeys(works) for name, works in changed.items()}}
        return made

    def add(self, work: Work) -> None:
        """Add an instance. Idempotent."""
        self._by_node.setdefault(work.node_name, {})[work] = None

    def remove(self, work: Work) -> None:
        """Remove an instance, whose row is removed."""
        del self._by_node[work.node_name][work]


def condemn(works: Iterable[Work], node_ids: Collection[str]) -> None:
    """Mark instances for removal, in memory only."""
    for work in works:
        if work.node_id in node_ids:
            work.record = dataclasses.replace(work.record, condemned=True)
