"""A plan: the next step of each instance, with its reason."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field

from occopus_core.api.resource import InstanceState
from occopus_core.descriptions.times import written
from occopus_core.engine.planning.changes import Changes

LOST = {
    InstanceState.ABSENT: "the provider does not know it any more",
    InstanceState.FAILED: "the provider reports it as failed",
    InstanceState.STOPPED: "it was stopped",
}
"""States in which an instance that was running has been lost."""


def made_before(names: Collection[str]) -> str:
    """What is said of an instance that lacks the addresses of instances of the nodes `names` that were made later."""
    return f"its configuration was made before other instances of {' and '.join(names)}, without their addresses"


def lacks_addresses(names: Collection[str], infra_id: str, node_name: str, *, is_replaced: bool) -> str:
    """The same, with who replaces it: maintenance if `is_replaced`, otherwise a command."""
    who = "maintenance" if is_replaced else f"occopus-scale -i {infra_id} -n {node_name} --replace"
    return f"{made_before(names)}; {who} replaces it"


RECHECKED = "the build waits until it passes its new health checks"
"""The reason of a KEEP whose instance is proved by new health checks."""


class Verb(enum.Enum):
    """The action on one instance."""

    KEEP = "keep"
    CREATE = "create"
    REPLACE = "replace"
    """Create another instance, then delete this one."""
    RECONFIGURE = "reconfigure"
    """Apply the changed configuration to the running instance."""
    DESTROY = "destroy"
    WAIT = "wait"
    """An action is needed but has to wait; `Step.hold` says for what."""


class Hold(enum.Enum):
    """The reason for a step to wait."""

    ILLNESS = "illness"
    """The instance is ill, but its `timeout` has not passed yet."""
    FROZEN = "frozen"
    """So many instances fail at once that this is an outage."""
    DEPENDENCY = "dependency"
    """A dependee is down."""
    BUDGET = "budget"
    """The allowed number of instances is being replaced already."""
    BACK_OFF = "back-off"
    """The node keeps failing."""
    TAKEN = "taken"
    """Another instance has what only one can have."""
    DEFINITION = "definition"
    """No usable definition of the node exists."""
    REPLACEMENT = "replacement"
    """A requested replacement of other nodes leaves the node to maintenance."""


@dataclass(frozen=True, slots=True)
class Step:
    """The action on one instance. `node_id` is empty for an instance that does not exist yet."""

    verb: Verb
    node_name: str
    reason: str
    node_id: str = ""
    hold: Hold | None = None
    """What a WAIT waits for; None for other verbs."""
    until: float | None = None
    """When a WAIT ends (seconds since 1970), if that is known."""
    excused: bool = False
    """A REPLACE because of a node that it depends on (its failure, its addresses): no failure for the back-off."""
    rechecked: bool = False
    """Its health checks change: failures by the former ones no longer count."""
    proved: bool = False
    """A KEEP whose instance has to pass its new health checks before the description is in force."""


@dataclass(frozen=True, slots=True)
class MovedEnd:
    """Another end of the life time of an infrastructure, in seconds since 1970; None for never."""

    before: float | None
    after: float | None

    @property
    def is_sooner(self) -> bool:
        """True if the infrastructure is destroyed earlier than before, or is destroyed by itself at all."""
        return self.after is not None and (self.before is None or self.after < self.before)

    @property
    def text(self) -> str:
        """The new end and the former one, in words."""
        will = "it will not be destroyed by itself" if self.after is None else f"it will be destroyed at {self.at}"
        return f"{will} (was: {'never' if self.before is None else written(self.before)})"

    @property
    def at(self) -> str:
        """The new end; empty for never."""
        return "" if self.after is None else written(self.after)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, node by node in the order of the description. `frozen`: why failed instances are kept."""

    steps: tuple[Step, ...]
    frozen: str = ""
    left: Collection[str] = ()
    """Names of nodes that are left to maintenance: their `DESTROY` steps are carried out only for others."""
    changes: Changes = field(default_factory=Changes)
    """What a build changes in the description in force."""
    moved_end: MovedEnd | None = None
    """The end of the life time that a build brings; None where it stays as it is."""

    def of(self, *verbs: Verb) -> list[Step]:
        """The steps of these kinds."""
        return [step for step in self.steps if step.verb in verbs]

    def held(self, hold: Hold) -> dict[str, str]:
        """By node name: the reason, for nodes with steps that wait in this way."""
        return {step.node_name: step.reason for step in self.of(Verb.WAIT) if step.hold is hold}

    @property
    def staying(self) -> frozenset[str]:
        """The node ids of the instances that stay."""
        return frozenset(step.node_id for step in self.of(Verb.KEEP, Verb.RECONFIGURE, Verb.WAIT) if step.node_id)

    @property
    def empty(self) -> bool:
        """True if no action is due now."""
        return all(step.verb in (Verb.KEEP, Verb.WAIT) for step in self.steps)

    @property
    def changes_nothing(self) -> bool:
        """True if no action is due now, and the description and the end of the life time stay as they are."""
        return self.empty and not self.changes.count and self.moved_end is None
