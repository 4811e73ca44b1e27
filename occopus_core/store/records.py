"""The rows of the store as values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from occopus_core.api.resource import Address, InstanceId
from occopus_core.descriptions.model import Infrastructure


class StoreError(Exception):
    """The store cannot be used: it is away, full, read-only, or made by a newer version."""


class NoSuchInfrastructureError(Exception):
    """No infrastructure has this id."""

    def __init__(self, infra_id: str) -> None:
        super().__init__(f"no infrastructure has the id '{infra_id}'; occopus-maintain -l lists them")
        self.infra_id = infra_id


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

    @property
    def address(self) -> str:
        """The first address, or nothing."""
        return self.addresses[0].value if self.addresses else ""


class InfrastructureState(enum.Enum):
    """What an infrastructure is in the middle of."""

    BUILDING = "building"
    UPDATING = "updating"
    READY = "ready"
    DROPPING = "dropping"


@dataclass(frozen=True, slots=True)
class InfrastructureSummary:
    """One line of the list of infrastructures."""

    id: str
    name: str
    state: InfrastructureState
    instances: int
    created_at: float


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

    @property
    def state(self) -> InfrastructureState:
        """Derived, never stored."""
        if not self.wanted:
            return InfrastructureState.DROPPING
        if self.candidate is None:
            return InfrastructureState.READY
        return InfrastructureState.BUILDING if self.description is None else InfrastructureState.UPDATING

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
