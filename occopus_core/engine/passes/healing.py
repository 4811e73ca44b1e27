"""Replacement of failed instances: what is said of it, which one counts as a failure, and what a single pass leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from occopus_core.engine.planning.backoff import failed_to_start
from occopus_core.engine.planning.plan import Hold, Plan, Step, Verb
from occopus_core.store.records import InstanceRecord, Setback, Stage


def why_healed(step: Step, record: InstanceRecord, now: float) -> str:
    """Why an instance is replaced, with how long it was well and ill if that is why and the reason does not say so."""
    why = step.reason if step.verb is Verb.REPLACE else record.reason
    if record.unhealthy_since is None or not why.endswith(record.reason):
        return why
    lasts = now - record.unhealthy_since
    delay = f", replaced after {lasts:.0f} s" if lasts >= 1 and why == record.reason else ""
    return f"{why}{_short_life(record, record.unhealthy_since)}{delay}"


def _short_life(record: InstanceRecord, ill_since: float) -> str:
    """How long a ready instance was well, if it has failed before it was proven."""
    if record.stage is not Stage.READY or not failed_to_start(record):
        return ""
    return f" ({max(0.0, ill_since - record.since):.0f} s after it became ready)"


def is_new_failure(record: InstanceRecord, last: Setback | None) -> bool:
    """False for an instance that had failed already at the last failure of its node, and waited for its turn."""
    ill_since = record.unhealthy_since
    return last is None or ill_since is None or ill_since > last.last or record.created_at >= last.last


def rationed(plan: Plan) -> frozenset[str]:
    """The node ids of the instances that wait until others of their node have been replaced."""
    return frozenset(step.node_id for step in plan.of(Verb.WAIT) if step.hold is Hold.BUDGET)


def left_over(plan: Plan, targets: Mapping[str, int], infra_id: str, now: float) -> Iterator[str]:
    """By what a single pass leaves because of the budget or a back-off: what it is, and the command that goes on."""
    command = f"occopus-maintain -i {infra_id}"
    for name, target in targets.items():
        waiting = [step for step in plan.of(Verb.WAIT) if step.node_name == name]
        stopped = [step for step in waiting if step.hold is Hold.BACK_OFF]
        full = [step for step in waiting if step.hold is Hold.BUDGET]
        if stopped:
            pause = max(math.ceil((step.until or now) - now) for step in stopped)
            failing = f"node '{name}' keeps failing: {len(stopped)} of {target} instances wait"
            yield f"{failing}; {command} tries again after {max(0, pause)} s"
        if full:
            yield f"node '{name}': {len(full)} of {target} instances wait until others are replaced; {command} goes on"
