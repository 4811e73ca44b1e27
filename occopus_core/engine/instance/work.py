"""One instance while the engine works on it."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.resource import ResourceHandler
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.kernel.link import Link
from occopus_core.engine.planning.preparation import Prepared
from occopus_core.store.configurations import ConfigurationRecord
from occopus_core.store.records import InstanceRecord, Stage


@dataclass(slots=True, eq=False)
class Work:
    """An instance on its way. Only the thread of the loop changes it, but for what calls note of themselves."""

    record: InstanceRecord
    implementation: Implementation
    alternatives: deque[Implementation] = field(default_factory=deque)
    """Implementations to try when this one cannot be used."""
    link: Link[ResourceHandler] | None = None
    prepared: Prepared | None = None
    configuration: ConfigurationRecord | None = None
    """What its configuration manager holds for it; None where it has none, or is not registered yet."""
    may_exist: bool = True
    """Its provider may have made something of it: it is asked before the row is forgotten."""
    calling: bool = False
    """A call that may create or change the instance is under way."""
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
    armed_at: float | None = None
    """When (seconds since 1970) the clock of the present stage began, where that is not the creation."""
    queued: bool = False
    """It waits for its turn to be configured: no clock runs."""
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

    def enter(self, stage: Stage, now: float, **changes: Any) -> InstanceRecord:
        """The record in another stage; it is the caller's to have it committed."""
        self.record = dataclasses.replace(self.record, stage=stage, since=now, **changes)
        return self.record

    def arm(self, now: float) -> None:
        """The clock of another stage begins."""
        self.armed_at = now
        self.queued = False

    def restart_watch(self, monotonic: float) -> None:
        """A new wait begins: look soon, then ever more seldom."""
        self.watched_since = monotonic
        self.failures = 0


def condemn(works: Iterable[Work], node_ids: Collection[str]) -> None:
    """Mark those that were chosen to go, in memory alone."""
    for work in works:
        if work.node_id in node_ids:
            work.record = dataclasses.replace(work.record, condemned=True)
