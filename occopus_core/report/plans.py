"""Writes a plan: as JSON for programs, as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from occopus_core.descriptions.times import written
from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.report.changes import Change, lines_of_changes

_SIGNS = {
    Verb.CREATE: "+",
    Verb.REPLACE: "~",
    Verb.DESTROY: "-",
    Verb.KEEP: "=",
    Verb.RECONFIGURE: "*",
    Verb.WAIT: ".",
}
_ALWAYS_COUNTED = (Verb.CREATE, Verb.REPLACE, Verb.DESTROY, Verb.KEEP)


def steps_of(plan: Plan) -> list[dict[str, Any]]:
    """The steps as JSON values."""
    return [
        {
            "action": step.verb.value,
            "node": step.node_name,
            "nodeid": step.node_id,
            "reason": step.reason,
            "hold": step.hold.value if step.hold is not None else "",
            "until": _time(step) or None,
        }
        for step in plan.steps
    ]


def lines_of(plan: Plan, changes: Mapping[str, Sequence[Change]] = MappingProxyType({})) -> Iterator[str]:
    """A line for each group of equal steps, below it the changes of its node; then a freeze, and the totals."""
    alike = Counter((step.verb, step.node_name, _reason(step)) for step in plan.steps)
    waiting = dict(changes)
    touched = {step.node_name for step in plan.steps if step.verb is not Verb.KEEP}
    for (verb, node, reason), count in alike.items():
        yield f"{_SIGNS[verb]} {verb.value} {count} x {node}" + (f": {reason}" if reason else "")
        yield from lines_of_changes(waiting.pop(node, ()), kept=node not in touched)
    if plan.frozen:
        yield f"frozen: {plan.frozen}"
    totals = Counter(step.verb for step in plan.steps)
    yield ", ".join(f"{totals[verb]} to {verb.value}" for verb in _SIGNS if totals[verb] or verb in _ALWAYS_COUNTED)


def _reason(step: Step) -> str:
    until = _time(step)
    hold = f"[{step.hold.value}] " if step.hold is not None else ""
    return f"{hold}{step.reason}" + (f" (until {until})" if until else "")


def _time(step: Step) -> str:
    return "" if step.until is None else written(step.until)
