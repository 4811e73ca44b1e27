"""What has to happen for things to be as they should: pure, from what is wanted and what is there."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from occopus_core.api.resource import Instance, InstanceState
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.store.records import InstanceRecord, Stage

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
    """Another one is made, and when that is ready this one goes."""
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class Step:
    """One instance and what happens to it. `node_id` is empty for one that does not exist yet."""

    verb: Verb
    node_name: str
    reason: str
    node_id: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, node by node in the order of the description."""

    steps: tuple[Step, ...]

    def of(self, *verbs: Verb) -> list[Step]:
        """The steps of these kinds."""
        return [step for step in self.steps if step.verb in verbs]

    @property
    def empty(self) -> bool:
        """True where nothing has to change."""
        return all(step.verb is Verb.KEEP for step in self.steps)


def make_plan(
    blueprints: Mapping[str, Blueprint],
    targets: Mapping[str, int],
    records: Sequence[InstanceRecord],
    observed: Mapping[str, Instance],
) -> Plan:
    """Plan towards `targets` instances of each blueprint's node. With no blueprints everything is destroyed.

    `observed` holds what the provider says of instances, by node id.
    """
    by_node: dict[str, list[InstanceRecord]] = {name: [] for name in blueprints}
    for record in records:
        by_node.setdefault(record.node_name, []).append(record)
    steps: list[Step] = []
    for name, present in by_node.items():
        blueprint = blueprints.get(name)
        if blueprint is None:
            why = "the infrastructure is destroyed" if not blueprints else "it is no longer described"
            steps.extend(Step(Verb.DESTROY, name, why, record.node_id) for record in present)
        else:
            steps.extend(_plan_node(blueprint, targets[name], present, observed))
    return Plan(tuple(steps))


def _plan_node(
    blueprint: Blueprint,
    target: int,
    present: Sequence[InstanceRecord],
    observed: Mapping[str, Instance],
) -> list[Step]:
    name = blueprint.node.name
    valid = frozenset(blueprint.fingerprints.values())
    unfit, fit = [], []
    for record in present:
        fault = _fault(record, valid, observed)
        if fault:
            unfit.append((record, fault))
        else:
            fit.append(record)
    # The oldest stay, for others may know their addresses.
    fit.sort(key=lambda record: (record.created_at, record.position))
    missing = max(0, target - len(fit))
    steps = [Step(Verb.KEEP, name, _progress(record), record.node_id) for record in fit[:target]]
    steps += [Step(Verb.DESTROY, name, f"more than the {target} wanted", record.node_id) for record in fit[target:]]
    for number, (record, fault) in enumerate(unfit):
        steps.append(Step(Verb.REPLACE if number < missing else Verb.DESTROY, name, fault, record.node_id))
    steps += [Step(Verb.CREATE, name, f"{target} wanted, {len(fit)} there")] * (missing - len(unfit))
    return steps


def _fault(record: InstanceRecord, valid: frozenset[str], observed: Mapping[str, Instance]) -> str:
    if record.stage is Stage.DROPPING:
        return "its deletion was begun"
    if record.condemned:
        return "it was chosen to go"
    if record.fingerprint not in valid:
        return "its definition or its variables have changed"
    instance = observed.get(record.node_id)
    if instance is None or record.stage is Stage.CREATING:
        return ""
    return LOST.get(instance.state, "")


def _progress(record: InstanceRecord) -> str:
    return "" if record.stage is Stage.READY else f"its creation goes on ({record.stage.value})"
