"""One instance while the engine works on it."""

from __future__ import annotations

import dataclasses
import enum
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.resource import ResourceHandler
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.engine.planning.preparation import Prepared
from occopus_core.store.configurations import ConfigurationRecord
from occopus_core.store.records import InstanceRecord, Stage


class Phase(enum.Enum):
    """What an instance is in the middle of, in more detail than its row says. See `lifecycle.RULES`."""

    RESERVED = "reserved"
    """It has a row; nothing was called for it."""
    AWAITING = "awaiting"
    """It waits for what its dependees publish."""
    PREPARING = "preparing"
    """Its request is rendered, and its configuration manager learns of it."""
    CREATING = "creating"
    """`create` is called until the provider has it."""
    BOOTING = "booting"
    """The provider starts it."""
    CONFIGURING = "configuring"
    """Its configuration manager configures it; the time begins with its job."""
    CHECKING = "checking"
    """Its health checks have to pass."""
    READY = "ready"
    RECONFIGURING = "reconfiguring"
    """It is ready, and is configured once more."""
    LEAVING = "leaving"
    """It is to be deleted; its configuration manager takes it out of service."""
    STOPPING = "stopping"
    """It shuts down."""
    DELETING = "deleting"
    """It is looked for, deleted, and forgotten when its provider says that it is absent."""


@dataclass(slots=True, eq=False)
class Clock:
    """The time of one phase of one instance. Times are monotonic, in seconds; `lifecycle` alone uses it."""

    phase: Phase
    began: float
    limit: float | None
    ends: float | None
    queues: list[Callable[[], float]] = field(default_factory=list)
    """The queues in which calls for it wait for their turn: when each last moved."""


@dataclass(slots=True, eq=False)
class Work:
    """An instance under way. Only the thread of the loop changes it, but for what calls note of themselves."""

    record: InstanceRecord
    implementation: Implementation
    alternatives: deque[Implementation] = field(default_factory=deque)
    """Implementations to try when this one cannot be used."""
    link: OpenConnection[ResourceHandler] | None = None
    prepared: Prepared | None = None
    configuration: ConfigurationRecord | None = None
    """What its configuration manager holds for it; None where it has none, or is not registered yet."""
    may_exist: bool = True
    """Its provider may have made something of it: it is asked before the row is forgotten."""
    calling: bool = False
    """A call that may create or change the instance is under way."""
    given_up: bool = False
    """The call under way has taken too long, and is not waited for."""
    dropping: bool = False
    """It goes no further: it is to be dropped."""
    may_drop: bool = False
    """Its turn to be dropped has come: nothing that depends on it is left."""
    failures: int = 0
    """Failed calls in a row."""
    failing_since: float = 0.0
    watched_since: float = 0.0
    """Since when (monotonic) the present wait lasts."""
    last_called: float = 0.0
    """When (seconds since 1970) `create` was last called, and from its end on when it ended; 0 for never.

    The result may stay hidden for a while from then on.
    """
    creations: int = 0
    """How often `create` was called for it; those of earlier processes count as one."""
    asked_to_go: bool = False
    """Its deletion has been asked for at least once."""
    drop_reported: bool = False
    """That it is being dropped was told before."""
    unmet: dict[str, Any] = field(default_factory=dict, repr=False)
    """The health checks that have not passed yet, with what each is to look at."""
    clock: Clock | None = None
    """Its phase and the time for it; None before this process has begun anything for it."""
    waiting_for: str = ""

    @property
    def node_id(self) -> str:
        """The instance's own id."""
        return self.record.node_id

    @property
    def node_name(self) -> str:
        """The node it is an instance of."""
        return self.record.node_name

    @property
    def stage(self) -> Stage:
        """How far it has come."""
        return self.record.stage

    @property
    def handler(self) -> ResourceHandler:
        """The handler of its connection."""
        assert self.link is not None, "an instance has a connection before its provider is called"
        return self.link.plugin

    def update(self, **changes: Any) -> InstanceRecord:
        """The record with other values, for the caller to commit. Its stage is changed by `lifecycle` alone."""
        self.record = dataclasses.replace(self.record, **changes)
        return self.record

    def restart_watch(self, monotonic: float) -> None:
        """A new wait begins: look soon, then ever more seldom."""
        self.watched_since = monotonic
        self.failures = 0


def condemn(works: Iterable[Work], node_ids: Collection[str]) -> None:
    """Mark those that were chosen to go, in memory alone."""
    for work in works:
        if work.node_id in node_ids:
            work.record = dataclasses.replace(work.record, condemned=True)
