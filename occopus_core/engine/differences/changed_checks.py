"""Finds the ready instances that a build keeps and whose health checks it changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from occopus_core.descriptions.model import Implementation
from occopus_core.engine.differences.reconfiguring import foreseen_neighbours
from occopus_core.engine.instance.applicable import Applicable, Surroundings
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.preparation import Scope, Subject
from occopus_core.engine.planning.rehearsal import rehearsal_allowance
from occopus_core.store.records import Stage


def with_changed_checks(
    loop: Loop,
    before: Applicable,
    scope: Scope,
    works: Sequence[Work],
    situation: Situation,
    implementation: Callable[[Work], Implementation],
    commit_due: Callable[[], None],
) -> Steps[Situation]:
    """The situation with the instances whose health checks differ, as rendered, from those in force.

    Those in force are of the description that applies `before`. `implementation` returns an instance's implementation
    from now on.
    """
    plan = decide(situation)
    kept = plan.staying
    staying = [
        work
        for work in works
        if work.stage is Stage.READY
        and work.node_id in kept
        and (work.implementation.health_check.checks or implementation(work).health_check.checks)
    ]
    if not staying:
        return situation

    def find() -> dict[str, bool]:
        present = Surroundings(before, works)
        foreseen = foreseen_neighbours(scope, works, plan)
        changes: dict[str, bool] = {}
        for work in staying:
            former = _values(before.scope(work), present.of(work).subject(work), work)
            new = _values(scope, foreseen.subject(work, implementation(work)), work)
            if new != former:
                changes[work.node_id] = new is None or any((former or {}).get(key) != new[key] for key in new)
        return changes

    changes = yield from loop.in_pool(find, commit_due)
    return dataclasses.replace(situation, checks=changes)


def _values(scope: Scope, subject: Subject, work: Work) -> dict[str, Any] | None:
    """The rendered value for each health checker; None if they cannot be rendered."""
    try:
        return dataclasses.replace(scope, allowance=rehearsal_allowance()).health_values(subject, work.record.address)
    except Exception:  # noqa: BLE001  # the build, or the observation of the instance, reports it
        return None
