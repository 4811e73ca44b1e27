"""What a build changes in the description in force, for its plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.engine.instance.work import Work
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.life_time import moved_end
from occopus_core.engine.planning.changes import changes_of
from occopus_core.engine.planning.design import Design
from occopus_core.engine.planning.plan import Plan
from occopus_core.store.records import InfrastructureRecord, Stage


def with_changes(
    context: PassContext,
    plan: Plan,
    record: InfrastructureRecord,
    design: Design,
    works: Sequence[Work],
    own: Mapping[str, NodeDefinition],
    end: float | None = None,
) -> Plan:
    """The plan of a build with the keys that it changes, and the end of the life time that it brings.

    `own` and `end` are those of `building.build`.
    """
    resources, candidate = context.resources, design.scope.infrastructure
    used: dict[str, dict[str, Implementation]] = {}
    for work in works:
        if work.stage is not Stage.DROPPING:
            used.setdefault(work.node_name, {})[work.implementation.digest] = work.implementation
    stored = resources.store.definitions(own.keys())
    changes = changes_of(
        record.current,
        {name: list(found.values()) for name, found in used.items()},
        candidate,
        {name: blueprint.implementations for name, blueprint in design.blueprints.items()},
        {
            node.name: [one for one in stored[node.type].implementations if one.passes(node.filter)]
            for node in candidate.nodes
            if node.type in stored
        },
    )
    moved = moved_end(record, candidate, resources.loop.clock.now(), end)
    return dataclasses.replace(plan, changes=changes, moved_end=moved)
