"""The records in the store."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.resource import Address, InstanceId
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDefinition

SHORTEST_BEGINNING = 6
"""The fewest characters of an id that identify its owner: fewer may become ambiguous."""

UNKNOWN_REQUEST = "unknown"
"""`InstanceRecord.rendered` of an instance of which it is unknown which of several requests the provider has taken."""

_MADE = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_made(infra_id: str) -> bool:
    """True for an id that Occopus has generated; others were chosen by users."""
    return _MADE.fullmatch(infra_id) is not None


class StoreError(Exception):
    """The store cannot be used: it is unavailable, full, read-only, or made by a newer version."""

    unknown = False
    """True if a commit failed and may still have taken effect."""


def newer(version: str | None) -> str:
    """The message for a store with an unknown schema."""
    return f"the store has schema version {version}, which this version of Occopus does not know: upgrade Occopus"


class SpoiltError(StoreError):
    """A row of the store cannot be read; other rows can."""


class NoSuchInfrastructureError(Exception):
    """No infrastructure has this id."""

    def __init__(self, infra_id: str) -> None:
        super().__init__(f"no infrastructure has the id '{infra_id}'; occopus-maintain -l lists them")
        self.infra_id = infra_id


class AmbiguousNameError(Exception):
    """Several infrastructures have this name, or an id that begins so; the message has their ids."""

    MOST = 10
    """The most infrastructures that the message names."""

    def __init__(self, text: str, ids: Sequence[str]) -> None:
        more = f" and {len(ids) - self.MOST:,} more" if len(ids) > self.MOST else ""
        super().__init__(f"'{text}' may mean several infrastructures: {', '.join(ids[: self.MOST])}{more}")


class NoSuchPlaceError(Exception):
    """No instance was ever made at a place of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no instance was ever made at '{name}'")


class PlaceInUseError(Exception):
    """The store has instances at the place."""

    def __init__(self, name: str, infra_id: str) -> None:
        super().__init__(
            f"the infrastructure '{infra_id}' has instances at '{name}': destroy it first; where that cloud is gone "
            f"for good: occopus-destroy -i {infra_id} --give-up '{name}' --yes"
        )


class NoSuchDefinitionError(Exception):
    """No node definition has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no node definition '{name}'")


class DefinitionInUseError(Exception):
    """Infrastructures have nodes of this type."""

    MOST = 5
    """The most infrastructures that the message names."""

    def __init__(self, name: str, users: Sequence[str]) -> None:
        more = f" and {len(users) - self.MOST:,} more" if len(users) > self.MOST else ""
        super().__init__(f"the node definition '{name}' is used by {', '.join(users[: self.MOST])}{more}")
        self.users = tuple(users)


class WorkedOnError(Exception):
    """A build of another description is under way."""

    def __init__(self, infra_id: str, holder: str) -> None:
        what = f"another description of the infrastructure '{infra_id}'"
        super().__init__(f"{holder} is building {what}: wait for its end")


class LeaseLostError(Exception):
    """Another process has taken over the infrastructure; this process must not write or start anything for it."""


PARKED = "parked: "
"""The start of the reason for which an infrastructure is parked: passes only destroy it or finish a rollback."""


class Stage(enum.Enum):
    """The progress of an instance. Each stage is committed before the first call that it announces."""

    RESERVED = "reserved"
    """Has an id and a token; the provider has not been called."""
    CREATING = "creating"
    """`create` may have been called; the instance may exist."""
    BOOTING = "booting"
    """The provider has the instance and is starting it."""
    CONFIGURING = "configuring"
    """It runs; its configuration or its health checks are not complete yet."""
    READY = "ready"
    DROPPING = "dropping"
    """It is being deleted; the row is removed when the provider reports it absent."""


MAKING = frozenset({Stage.CREATING, Stage.BOOTING})
"""Stages in which `create` may be in flight."""

PENDING = frozenset({Stage.RESERVED, *MAKING, Stage.CONFIGURING})
"""Stages before `READY`."""


class Condition(enum.Enum):
    """The health of an instance that was ready."""

    WELL = "well"
    AILING = "ailing"
    """It is not well, but its `timeout` has not passed."""
    FAILED = "failed"
    """It is to be replaced."""
    UNKNOWN = "unknown"
    """Neither its provider nor a health check can tell its health."""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One instance of a node. Times are seconds since 1970."""

    node_id: str
    infra_id: str
    node_name: str
    position: int
    """The order of the instances of a node: the first one has the lowest."""
    token: str
    implementation: str
    """Digest of its implementation."""
    connection: str
    """The settings of its connection, as canonical JSON; empty while it is reserved."""
    fingerprint: str
    """Identifies the request it was made from; if the description gives another fingerprint, it is replaced."""
    stage: Stage
    since: float
    """When it entered its stage."""
    created_at: float
    provisional: bool = True
    """Made by a build that has not succeeded yet; deleted if that build fails."""
    instance_id: InstanceId | None = None
    addresses: tuple[Address, ...] = ()
    reason: str = ""
    """Why it is not well, or not yet ready."""
    condition: Condition = Condition.WELL
    unhealthy_since: float | None = None
    """Since when a node that was ready is not well, without short recoveries; None while it is well."""
    well_since: float | None = None
    """When it recovered last; None if it has not.

    While it is not well: since when it was before, or `unhealthy_since` where that is not known.
    """
    ill_seconds: float = 0.0
    """How long it was not well before it recovered last. If it soon falls ill again, this time counts too."""
    condemned: bool = False
    """Marked for removal by a scaling request."""
    answered: bool = False
    """The first `create` returned the whole instance: the provider has no other one with this token."""
    outdated: tuple[str, ...] = ()
    """The nodes with instances that were made later and whose addresses its user data or settings lack."""
    rendered: str = ""
    """Identifies its request with the addresses that it was made with; empty if it has no dependees, or none is known.

    `UNKNOWN_REQUEST` where two processes may have asked for it with different addresses.
    """

    @property
    def address(self) -> str:
        """The first address, or an empty text."""
        return self.addresses[0].value if self.addresses else ""


@dataclass(frozen=True, slots=True)
class Place:
    """A place where instances may be: an implementation, and its connection settings as canonical JSON."""

    implementation: Implementation
    connection: str


WARN_SECONDS = 3600.0
"""How long before its end an infrastructure gets a warning; for a short life time, a tenth of it."""


@dataclass(frozen=True, slots=True)
class LifeTime:
    """The end of an infrastructure, and the time of its warning: seconds since 1970, None for never."""

    expires_at: float | None = None
    warns_at: float | None = None

    @classmethod
    def until(cls, end: float, now: float) -> LifeTime:
        """A life time from `now` to `end`."""
        return cls(end, end - min(WARN_SECONDS, max(0.0, end - now) / 10))


NO_END = LifeTime()

ALIVE_SECONDS = 30.0
"""How long a maintainer counts as alive after its last announcement."""


@dataclass(frozen=True, slots=True)
class Maintainer:
    """A process that maintains an infrastructure. Times are seconds since 1970."""

    name: str
    """The process and its host."""
    since: float
    seen: float
    """When it last announced itself."""

    def is_alive(self, now: float) -> bool:
        """False if it was killed or is frozen."""
        return now - self.seen <= ALIVE_SECONDS


@dataclass(frozen=True, slots=True)
class Holding:
    """The lease of an infrastructure: who holds it, or held it when it was killed, and until when."""

    holder: str
    """The process and its host."""
    until: float
    """Seconds since 1970. A process that works renews it long before."""


class InfrastructureState(enum.Enum):
    """The state of an infrastructure."""

    BUILDING = "building"
    UPDATING = "updating"
    ROLLING_BACK = "rolling_back"
    """A build, an update or a replacement is being undone."""
    READY = "ready"
    DROPPING = "dropping"

    @classmethod
    def of(cls, *, wanted: bool, described: bool, under_way: bool, rolling_back: bool) -> InfrastructureState:
        """The state, derived from whether it is wanted, has a description in force, and has a build or its rollback."""
        if not wanted:
            return cls.DROPPING
        if rolling_back:
            return cls.ROLLING_BACK
        if not under_way:
            return cls.READY
        return cls.UPDATING if described else cls.BUILDING


@dataclass(frozen=True, slots=True)
class Setback:
    """How often a node has failed recently, and when (seconds since 1970) it last failed."""

    count: int
    last: float


class ScaleKind(enum.Enum):
    """The meaning of the number in a scaling request."""

    CHANGE = "change"
    """The difference to the present number."""
    SET = "set"
    """The new total."""
    REPLACE = "replace"
    """There is no number: all instances of the node are to be replaced, see `engine.planning.replacing`."""


@dataclass(frozen=True, slots=True)
class ScaleRequest:
    """A request for more, fewer or other instances of a node. Each is applied once, in the order of their ids."""

    id: int
    infra_id: str
    node_name: str
    kind: ScaleKind
    amount: int
    instance: str
    """The node id or an address of the instance to remove; empty for any instance."""
    requested_at: float
    applied_at: float | None = None
    result: str = ""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the log. Ids are in order; `at` is in seconds since 1970."""

    id: int
    infra_id: str
    at: float
    kind: str
    node_name: str
    node_id: str
    text: str


@dataclass(frozen=True, slots=True)
class InfrastructureSummary:
    """One line of the list of infrastructures."""

    id: str
    name: str
    state: InfrastructureState
    instances: int
    created_at: float
    frozen: str = ""
    """Why failed instances are not replaced at present, and how that ends; empty if they are replaced."""
    expires_at: float | None = None
    """The end of its life time (seconds since 1970); None if it has no end."""
    maintainer: Maintainer | None = None
    """The process that maintains it periodically, or the last one if that was killed; None without one."""
    target: int = 0
    """The wanted number of instances."""
    counts: Mapping[tuple[Stage, Condition], int] = field(default_factory=dict)
    """The number of instances by stage and condition, without those in damaged rows."""
    outdated: int = 0
    """The number of instances that were made or configured with other addresses than those of now."""
    holding: Holding | None = None
    """Its lease; None if it is free."""
    seen_at: float | None = None
    """When its instances were last looked at (seconds since 1970); None where that is unknown."""


@dataclass(frozen=True, slots=True)
class InfrastructureRecord:
    """One infrastructure, as stored."""

    id: str
    description: Infrastructure | None
    """The description in force, from the last successful build; None before the first one."""
    candidate: Infrastructure | None
    """The description that a build is working towards; None without a build under way."""
    wanted: bool
    """False after a request to destroy the infrastructure."""
    created_at: float
    targets: Mapping[str, int] = field(default_factory=dict)
    """The wanted number of instances of each node."""
    setbacks: Mapping[str, Setback] = field(default_factory=dict)
    """Recent failures by node name, for the back-off."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """By node name: why instances of the node cannot be made, as the last pass has found.

    It has no usable definition, or another instance has what only one can have.
    """
    frozen: str = ""
    """Why healing is frozen; empty if it is not."""
    expires_at: float | None = None
    """The end of its life time, at which maintenance destroys it; None if it has no end."""
    warns_at: float | None = None
    """When the warning of that end is due; None once it is recorded."""
    awaited_until: float | None = None
    """Until when (seconds since 1970) a build waits for the lease; None if none waits."""
    rolling_back: str = ""
    """Why a build is being rolled back, which the next pass finishes; empty if none is, or it is being destroyed."""
    candidate_definitions: Mapping[str, NodeDefinition] = field(default_factory=dict)
    """By name: the node definitions that this build uses in place of stored ones, and stores after it has succeeded."""
    seen_at: float | None = field(default=None, compare=False)
    """When its instances were last looked at (seconds since 1970), to the minute; None where that is unknown."""
    revision: int = field(default=0, compare=False)
    """Raised by every change of the infrastructure or its rows, see `occopus_core.store.revisions`."""

    @property
    def parked(self) -> str:
        """Why passes leave it alone; empty if it is not parked, or is being destroyed."""
        return self.frozen if self.wanted and self.frozen.startswith(PARKED) else ""

    @property
    def state(self) -> InfrastructureState:
        """The state, derived from the other fields."""
        return InfrastructureState.of(
            wanted=self.wanted,
            described=self.description is not None,
            under_way=self.candidate is not None,
            rolling_back=bool(self.rolling_back),
        )

    @property
    def undone(self) -> str:
        """What a rollback in progress undoes, for messages. A replacement has no description of its own."""
        if self.description is None:
            return "build"
        return "replacement" if self.candidate is None else "update"

    @property
    def due_at(self) -> float | None:
        """When the next action for its life time is due; None without an end."""
        moments = [moment for moment in (self.expires_at, self.warns_at) if moment is not None]
        return min(moments, default=None) if self.expires_at is not None else None

    @property
    def current(self) -> Infrastructure:
        """The description in force, or the one of the first build."""
        description = self.description or self.candidate
        assert description is not None, "an infrastructure always has a description"
        return description


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change one infrastructure. Every write carries the epoch; writes with an old epoch are refused."""

    infra_id: str
    holder: str
    epoch: int


def label(type: str, section: Mapping[str, Any]) -> str:
    """A manager's name in messages: its type, and its endpoint if it has one."""
    endpoint = section.get("endpoint")
    return f"{type} {endpoint}" if endpoint else type
