"""The rows of the store as values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.resource import Address, InstanceId
from occopus_core.descriptions.model import Implementation, Infrastructure


class StoreError(Exception):
    """The store cannot be used: it is away, full, read-only, or made by a newer version."""

    unknown = False
    """True where it failed in the very moment of a commit: nobody knows whether the change was made."""


def newer(version: str | None) -> str:
    """The message of a store whose schema this program does not know."""
    return f"the store has schema version {version}, which this version of Occopus does not know: upgrade Occopus"


class SpoiltError(StoreError):
    """A row of the store cannot be read; others can."""


class NoSuchInfrastructureError(Exception):
    """No infrastructure has this id."""

    def __init__(self, infra_id: str) -> None:
        super().__init__(f"no infrastructure has the id '{infra_id}'; occopus-maintain -l lists them")
        self.infra_id = infra_id


class NoSuchPlaceError(Exception):
    """No instance was ever made at a place of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no instance was ever made at '{name}'")


class PlaceInUseError(Exception):
    """Instances are at the place, as far as the store knows."""

    def __init__(self, name: str, infra_id: str) -> None:
        super().__init__(
            f"the infrastructure '{infra_id}' has instances at '{name}': destroy it first; where that cloud is gone "
            f"for good: occopus-destroy -i {infra_id} --give-up '{name}' --yes"
        )


class LeaseLostError(Exception):
    """Another process has taken the infrastructure over; nothing more may be written or started here."""


class Stage(enum.Enum):
    """How far an instance has come. Each stage is committed before the first call it announces."""

    RESERVED = "reserved"
    """Has an id and a token; the provider has not been called."""
    CREATING = "creating"
    """`create` may have been called; the instance may exist."""
    BOOTING = "booting"
    """The provider has it and starts it."""
    CONFIGURING = "configuring"
    """It runs; its configuration manager or its health checks are not yet satisfied."""
    READY = "ready"
    DROPPING = "dropping"
    """It is being deleted; the row goes when the provider says it is absent."""


MAKING = frozenset({Stage.CREATING, Stage.BOOTING})
"""In these `create` may be called at any moment."""


class Condition(enum.Enum):
    """How an instance that was ready fares."""

    WELL = "well"
    AILING = "ailing"
    """It is not well, and not for too long yet."""
    FAILED = "failed"
    """It is to be replaced."""
    UNKNOWN = "unknown"
    """Neither its provider nor a health check can say."""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One instance of a node. Times are seconds since 1970."""

    node_id: str
    infra_id: str
    node_name: str
    position: int
    """Orders the instances of a node: the first one made has the lowest."""
    token: str
    implementation: str
    """Digest of the implementation it is made by."""
    connection: str
    """The settings of the connection it is made on, as canonical JSON; empty while it is reserved."""
    fingerprint: str
    """Names what it was made from; a description that gives another one needs another instance."""
    stage: Stage
    since: float
    """When it entered its stage."""
    created_at: float
    provisional: bool = True
    """Made by a build that has not succeeded yet: undone if that build fails."""
    instance_id: InstanceId | None = None
    addresses: tuple[Address, ...] = ()
    reason: str = ""
    """Why it is not well, or not yet ready."""
    condition: Condition = Condition.WELL
    unhealthy_since: float | None = None
    """Since when a node that was ready is not well; None while it is."""
    condemned: bool = False
    """Chosen to go by a scaling request."""
    answered: bool = False
    """`create` was called once, and answered with the whole instance: its provider has nothing else of this token."""

    @property
    def address(self) -> str:
        """The first address, or nothing."""
        return self.addresses[0].value if self.addresses else ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where instances may be: an implementation, and the settings of its connection as canonical JSON."""

    implementation: Implementation
    connection: str


class InfrastructureState(enum.Enum):
    """What an infrastructure is in the middle of."""

    BUILDING = "building"
    UPDATING = "updating"
    READY = "ready"
    DROPPING = "dropping"

    @classmethod
    def of(cls, *, wanted: bool, described: bool, under_way: bool) -> InfrastructureState:
        """From whether it is wanted, has a description in force, and a build is under way."""
        if not wanted:
            return cls.DROPPING
        if not under_way:
            return cls.READY
        return cls.UPDATING if described else cls.BUILDING


@dataclass(frozen=True, slots=True)
class Setback:
    """How often a node has failed of late, and when (seconds since 1970) it last did."""

    count: int
    last: float


class ScaleKind(enum.Enum):
    """How a scaling request is meant."""

    CHANGE = "change"
    """So many more, or fewer."""
    SET = "set"
    """So many in all."""


@dataclass(frozen=True, slots=True)
class ScaleRequest:
    """Somebody wants more or fewer instances of a node. Requests are applied in the order of their ids, each once."""

    id: int
    infra_id: str
    node_name: str
    kind: ScaleKind
    amount: int
    instance: str
    """The node id, or an address, of the instance that is to go; empty for any."""
    requested_at: float
    applied_at: float | None = None
    result: str = ""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """Something that happened, in the order of its id. `at` is in seconds since 1970."""

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
    """Why failed instances are not replaced at present, and how that ends; empty where they are."""


@dataclass(frozen=True, slots=True)
class InfrastructureRecord:
    """One infrastructure as it is recorded."""

    id: str
    description: Infrastructure | None
    """What the last successful build made; None until the first one succeeded."""
    candidate: Infrastructure | None
    """What a build is on its way to; None when none is under way."""
    wanted: bool
    """False once somebody asked for its destruction."""
    created_at: float
    targets: Mapping[str, int] = field(default_factory=dict)
    """How many instances each node should have."""
    setbacks: Mapping[str, Setback] = field(default_factory=dict)
    """By node name: what keeps failing is tried ever more seldom."""
    frozen: str = ""
    """Why nothing is healed at present."""
    revision: int = field(default=0, compare=False)
    """Every change of it or of its rows raises it, see `occopus_core.store.revisions`."""

    @property
    def state(self) -> InfrastructureState:
        """Derived, never stored."""
        described, under_way = self.description is not None, self.candidate is not None
        return InfrastructureState.of(wanted=self.wanted, described=described, under_way=under_way)

    @property
    def current(self) -> Infrastructure:
        """The description in force: the settled one, or during a first build the one being built."""
        description = self.description or self.candidate
        assert description is not None, "an infrastructure always has a description"
        return description


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change one infrastructure. Every write carries the epoch; an old epoch is refused."""

    infra_id: str
    holder: str
    epoch: int


def label(type: str, section: Mapping[str, Any]) -> str:
    """What people call a manager: its type, and its endpoint where it has one."""
    endpoint = section.get("endpoint")
    return f"{type} {endpoint}" if endpoint else type
