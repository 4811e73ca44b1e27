"""What a build changes in the description in force, for its plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from occopus_core.descriptions.model import Implementation
from occopus_core.engine.instance.work import Work
from occopus_core.engine.passes.life_time import moved_end
from occopus_core.engine.planning.changes import changes_of
from occopus_core.engine.planning.design import Design
from occopus_core.engine.planning.plan import Plan
from occopus_core.store.records import InfrastructureRecord, Stage


def with_changes(
    plan: Plan,
    record: InfrastructureRecord,
    design: Design,
    works: Sequence[Work],
    now: float,
    end: float | None = None,
) -> Plan:
    """The plan of a build with the keys that it changes, and the end of the life time that it brings.

    `end` is that of `building.build`.
    """
    used: dict[str, dict[str, Implementation]] = {}
    for work in works:
        if work.stage is not Stage.DROPPING:
            used.setdefault(work.node_name, {})[work.implementation.digest] = work.implementation
    candidate = design.scope.infrastructure
    changes = changes_of(
        record.current,
        {name: list(found.values()) for name, found in used.items()},
        candidate,
        {name: blueprint.implementations for name, blueprint in design.blueprints.items()},
    )
    return dataclasses.replace(plan, changes=changes, moved_end=moved_end(record, candidate, now, end))
