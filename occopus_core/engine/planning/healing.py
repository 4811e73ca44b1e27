"""What a maintenance pass has to do: pure, from what is wanted, what is there, and how it fares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.store.records import InstanceRecord, Setback, Stage

FREEZE_LEAST = 4
"""With fewer instances, the failure of most of them says nothing."""

FREEZE_SHARE = 0.5
"""The share of ailing instances above which it is an outage, in which replacing them would only do harm."""

HEAL_SHARE = 0.2
"""The share of a node's instances that is replaced in one pass, at least one."""

FIRST_SETBACK_DELAY = 10.0
LONGEST_SETBACK_DELAY = 600.0
"""Seconds before a node that keeps failing is tried again."""

SETBACK_MEMORY = 1800.0
"""Seconds without a failure after which a node's failures are forgotten."""


@dataclass(frozen=True, slots=True)
class Ailment:
    """Something is wrong with an instance. `fatal` where it is to be replaced: it is lost, or ill for too long."""

    reason: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Care:
    """What to do. `frozen` says why nothing is healed, `held` why a node is left alone for now."""

    plan: Plan
    frozen: str
    held: Mapping[str, str]


def plan_care(
    targets: Mapping[str, int],
    records: Sequence[InstanceRecord],
    ailments: Mapping[str, Ailment],
    setbacks: Mapping[str, Setback],
    now: float,
) -> Care:
    """Plan towards `targets` instances of each node, which are the nodes of the description.

    `ailments` is by node id, `setbacks` by node name; `now` is in seconds since 1970.
    """
    frozen = _outage(records, ailments)
    held: dict[str, str] = {}
    steps: list[Step] = []
    by_node: dict[str, list[InstanceRecord]] = {name: [] for name in targets}
    for record in sorted(records, key=lambda record: (record.created_at, record.position)):
        by_node.setdefault(record.node_name, []).append(record)
    for name, present in by_node.items():
        if name not in targets:
            steps += [Step(Verb.DESTROY, name, "it is no longer described", record.node_id) for record in present]
            continue
        wait = _delay(setbacks.get(name), now)
        node = _Node(name, targets[name], present, ailments)
        node_steps = list(node.steps(heals=not frozen and not wait))
        if wait and node.wants_more(heals=not frozen):
            held[name] = f"node '{name}' keeps failing: tried again in {wait:.0f} s"
            node_steps = [step for step in node_steps if step.verb is not Verb.CREATE]
        steps += node_steps
    return Care(Plan(tuple(steps)), frozen, held)


def next_setback(setback: Setback | None, now: float) -> Setback:
    """One failure more."""
    return Setback(_count(setback, now) + 1, now)


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    target: int
    present: Sequence[InstanceRecord]
    ailments: Mapping[str, Ailment]

    def steps(self, *, heals: bool) -> Iterator[Step]:
        going = [record for record in self.present if record.stage is Stage.DROPPING or record.condemned]
        for record in going:
            why = "its deletion was begun" if record.stage is Stage.DROPPING else "it was chosen to go"
            yield Step(Verb.DESTROY, self.name, why, record.node_id)
        staying = [record for record in self.present if record not in going]
        healed = self._fatal(staying)[: self._budget] if heals else []
        healed_ids = {record.node_id for record in healed}
        # Where there are too many, those that are not well go first, and then the youngest.
        fit = sorted(
            (record for record in staying if record.node_id not in healed_ids),
            key=lambda record: record.node_id in self.ailments,
        )
        surplus = max(0, len(fit) - self.target)
        missing = max(0, self.target - len(fit))
        for number, record in enumerate(healed):
            verb = Verb.REPLACE if number < missing else Verb.DESTROY
            yield Step(verb, self.name, self.ailments[record.node_id].reason, record.node_id)
        for record in fit[: len(fit) - surplus]:
            yield Step(Verb.KEEP, self.name, "", record.node_id)
        for record in fit[len(fit) - surplus :]:
            yield Step(Verb.DESTROY, self.name, f"more than the {self.target} wanted", record.node_id)
        for _ in range(missing - len(healed)):
            yield Step(Verb.CREATE, self.name, f"{self.target} wanted, {len(fit)} there")

    def wants_more(self, *, heals: bool) -> bool:
        """True where instances would be made if nothing held them back."""
        return any(step.verb in (Verb.CREATE, Verb.REPLACE) for step in self.steps(heals=heals))

    @property
    def _budget(self) -> int:
        return max(1, int(self.target * HEAL_SHARE))

    def _fatal(self, records: Sequence[InstanceRecord]) -> list[InstanceRecord]:
        return [record for record in records if record.node_id in self.ailments and self.ailments[record.node_id].fatal]


def _outage(records: Sequence[InstanceRecord], ailments: Mapping[str, Ailment]) -> str:
    ready = [record for record in records if record.stage is Stage.READY]
    ailing = sum(record.node_id in ailments for record in ready)
    if len(ready) < FREEZE_LEAST or ailing <= FREEZE_SHARE * len(ready):
        return ""
    return f"{ailing} of {len(ready)} instances fail at once: that is an outage, nothing is replaced until it is over"


def _count(setback: Setback | None, now: float) -> int:
    return setback.count if setback is not None and now - setback.last < SETBACK_MEMORY else 0


def _delay(setback: Setback | None, now: float) -> float:
    """Seconds until a node may be tried again: none after its first failure, then ever more."""
    count = _count(setback, now)
    if setback is None or count < 2:  # noqa: PLR2004  # a first failure is not yet a habit
        return 0.0
    pause = min(LONGEST_SETBACK_DELAY, FIRST_SETBACK_DELAY * 2.0 ** (count - 2))
    return max(0.0, setback.last + pause - now)
