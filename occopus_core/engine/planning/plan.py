"""A plan: what happens to each instance, and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from occopus_core.api.resource import InstanceState

LOST = {
    InstanceState.ABSENT: "the provider does not know it any more",
    InstanceState.FAILED: "the provider reports it as failed",
    InstanceState.STOPPED: "it was stopped",
}
"""States of an instance that was running in which it is of no use."""


class Verb(enum.Enum):
    """What happens to one instance."""

    KEEP = "keep"
    CREATE = "create"
    REPLACE = "replace"
    """Another one is made, and this one goes."""
    RECONFIGURE = "reconfigure"
    """Its configuration has changed: it is applied without another instance."""
    DESTROY = "destroy"
    WAIT = "wait"
    """Something is to be done, but not now: `Step.hold` says what holds it back."""


class Hold(enum.Enum):
    """What holds a step back."""

    ILLNESS = "illness"
    """It is not well, but has not been for its whole `timeout`."""
    FROZEN = "frozen"
    """So much fails at once that this is an outage."""
    DEPENDENCY = "dependency"
    """What it depends on is down."""
    BUDGET = "budget"
    """As many as allowed are being replaced at the same time."""
    BACK_OFF = "back-off"
    """Its node keeps failing."""
    DEFINITION = "definition"
    """There is no usable definition to make it from."""


@dataclass(frozen=True, slots=True)
class Step:
    """One instance and what happens to it. `node_id` is empty for one that does not exist yet."""

    verb: Verb
    node_name: str
    reason: str
    node_id: str = ""
    hold: Hold | None = None
    """What a WAIT waits for; None for the other verbs."""
    until: float | None = None
    """When a WAIT ends (seconds since 1970), where that is known."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, node by node in the order of the description. `frozen` says why some failed instances are kept."""

    steps: tuple[Step, ...]
    frozen: str = ""

    def of(self, *verbs: Verb) -> list[Step]:
        """The steps of these kinds."""
        return [step for step in self.steps if step.verb in verbs]

    def held(self, hold: Hold) -> dict[str, str]:
        """By node name: why steps of it are held back in this way."""
        return {step.node_name: step.reason for step in self.of(Verb.WAIT) if step.hold is hold}

    @property
    def staying(self) -> frozenset[str]:
        """The node ids of the instances that stay."""
        return frozenset(step.node_id for step in self.of(Verb.KEEP, Verb.RECONFIGURE, Verb.WAIT) if step.node_id)

    @property
    def empty(self) -> bool:
        """True where nothing has to change now."""
        return all(step.verb in (Verb.KEEP, Verb.WAIT) for step in self.steps)
