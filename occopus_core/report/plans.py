"""Writes a plan: as JSON for programs, as lines for people."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from occopus_core.descriptions.times import written
from occopus_core.engine.planning.changes import HIDDEN, Change
from occopus_core.engine.planning.plan import Plan, Step, Verb

_SIGNS = {
    Verb.CREATE: "+",
    Verb.REPLACE: "~",
    Verb.DESTROY: "-",
    Verb.KEEP: "=",
    Verb.RECONFIGURE: "*",
    Verb.WAIT: ".",
}
_ALWAYS_COUNTED = (Verb.CREATE, Verb.REPLACE, Verb.DESTROY, Verb.KEEP)


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """The plan as a JSON value."""
    moved = plan.moved_end
    return {
        "steps": steps_of(plan),
        "frozen": plan.frozen,
        "changes": {node: _keys(changes) for node, changes in plan.changes.nodes.items()},
        "infrastructure_changes": _keys(plan.changes.infrastructure),
        "life_time": None if moved is None else {"before": _moment(moved.before), "after": _moment(moved.after)},
    }


def steps_of(plan: Plan) -> list[dict[str, Any]]:
    """The steps as JSON values."""
    return [
        {
            "action": step.verb.value,
            "node": step.node_name,
            "nodeid": step.node_id,
            "reason": step.reason,
            "hold": step.hold.value if step.hold is not None else "",
            "until": _moment(step.until),
        }
        for step in plan.steps
    ]


def lines_of(plan: Plan) -> Iterator[str]:
    """A line for each group of equal steps, below it the changes of its node.

    Then those of the infrastructure, another end of its life time, a freeze, and the totals.
    """
    alike = Counter((step.verb, step.node_name, _reason(step)) for step in plan.steps)
    waiting = dict(plan.changes.nodes)
    touched = {step.node_name for step in plan.steps if step.verb is not Verb.KEEP}
    for (verb, node, reason), count in alike.items():
        yield f"{_SIGNS[verb]} {verb.value} {count} x {node}" + (f": {reason}" if reason else "")
        yield from _lines_of_changes(waiting.pop(node, ()), kept=node not in touched)
    if plan.changes.infrastructure:
        yield "infrastructure:"
        yield from _lines_of_changes(plan.changes.infrastructure)
    if plan.moved_end is not None:
        yield plan.moved_end.text
    if plan.frozen:
        yield f"frozen: {plan.frozen}"
    totals = Counter(step.verb for step in plan.steps)
    counts = [f"{totals[verb]} to {verb.value}" for verb in _SIGNS if totals[verb] or verb in _ALWAYS_COUNTED]
    keys = plan.changes.count
    yield ", ".join([*counts, *([f"{keys} key{'' if keys == 1 else 's'} to change"] if keys else [])])


def _lines_of_changes(changes: Sequence[Change], *, kept: bool = False) -> Iterator[str]:
    """A line for each; with `kept`, all instances of the node stay, and the line of a variable says so."""
    for change in changes:
        before, after = ("(absent)" if value is None else value for value in (change.before, change.after))
        difference = f"changed {HIDDEN}" if before == after == HIDDEN else f"{before} -> {after}"
        unused = " (replaces nothing)" if kept and change.path.startswith("variables.") else ""
        yield f"    {change.path}: {difference}{unused}"


def _keys(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(change) for change in changes]


def _reason(step: Step) -> str:
    until = _moment(step.until)
    hold = f"[{step.hold.value}] " if step.hold is not None else ""
    return f"{hold}{step.reason}" + (f" (until {until})" if until else "")


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else written(seconds)
