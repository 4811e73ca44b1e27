"""Finds instances that a plan keeps although their user data or settings hold addresses that the plan changes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.passes.reconfiguring import foreseen_neighbours
from occopus_core.engine.planning.mappings import ADDRESS
from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.rehearsal import PLACEHOLDER_HOST_KEY, rehearsal_allowance
from occopus_core.store.records import Stage


def with_outdated(
    loop: Loop,
    scope: Scope,
    graph: Graph,
    works: Sequence[Work],
    plan: Plan,
    implementation: Callable[[Work], Implementation] = lambda work: work.implementation,
) -> Steps[Plan]:
    """The plan, with a reason for each ready instance that is kept with addresses that will no longer be right.

    The request of each kind of instance is rendered with the addresses before and after the plan, in the pool, without
    running commands. What cannot be rendered with either is left as it is. `implementation` returns an instance's
    implementation from then on.
    """
    changing = {step.node_name for step in plan.of(Verb.CREATE, Verb.REPLACE, Verb.DESTROY)}
    present = [dataclasses.replace(work, dropping=False) for work in works if work.stage is not Stage.DROPPING]
    kept = {step.node_id for step in plan.of(Verb.KEEP)}
    concerned = {
        (work.node_name, implementation(work).digest): work
        for work in present
        if work.node_id in kept and work.stage is Stage.READY and changing & set(graph.dependees(work.node_name))
    }
    if not concerned:
        return plan
    scope = dataclasses.replace(scope, allowance=rehearsal_allowance())
    after = foreseen_neighbours(scope, works, plan)

    def find() -> dict[tuple[str, str], list[str]]:
        return {
            key: list(_outdating(scope, present, after, work, implementation(work), changing))
            for key, work in concerned.items()
        }

    found = yield from loop.in_pool(find)
    kinds = {work.node_id: (work.node_name, implementation(work).digest) for work in present}
    steps = tuple(
        _marked(step, found.get(kinds.get(step.node_id, ("", "")), [])) if step.node_id in kept else step
        for step in plan.steps
    )
    return dataclasses.replace(plan, steps=steps)


def _marked(step: Step, dependees: Sequence[str]) -> Step:
    if not dependees or step.reason:
        return step
    return dataclasses.replace(
        step,
        reason=f"its configuration was made with addresses of {' and '.join(dependees)}, which change: it is not "
        f"updated; occopus-build with --replace {step.node_name} replaces it, too (see docs/maintenance.md)",
    )


def _outdating(
    scope: Scope,
    present: Sequence[Work],
    after: Neighbours,
    work: Work,
    implementation: Implementation,
    changing: set[str],
) -> Iterator[str]:
    """The nodes whose new addresses would make the instance another one, in the order of the description."""
    before = dataclasses.replace(after, works=lambda: present)
    handed = before.handed(work.node_name).values
    made = _request(scope, before, work, implementation, handed)
    for name in after.nodes:
        if name not in changing or name == work.node_name:
            continue
        others = [one for one in present if one.node_name != name]
        mixed = [*others, *(one for one in after.works() if one.node_name == name)]
        then = dataclasses.replace(after, works=lambda mixed=mixed: mixed)  # type: ignore[misc]
        addresses = _handed_addresses(then, work.node_name)
        if _request(scope, then, work, implementation, {**handed, **addresses}) != made:
            yield name


def _handed_addresses(neighbours: Neighbours, node_name: str) -> dict[str, Any]:
    """Of the attributes that the node receives, those that are addresses."""
    edges = (edge for edge in neighbours.dependencies if edge.dependent == node_name)
    targets = {mapping.target for edge in edges for mapping in edge.mappings if mapping.source == ADDRESS}
    return {name: value for name, value in neighbours.handed(node_name).values.items() if name in targets}


def _request(
    scope: Scope, neighbours: Neighbours, work: Work, implementation: Implementation, handed: Mapping[str, Any]
) -> object:
    """What its provider would be asked for; None if it cannot be rendered."""
    subject = dataclasses.replace(
        neighbours.subject(work, implementation), mapped=handed, host_key=lambda: PLACEHOLDER_HOST_KEY
    )
    with contextlib.suppress(Exception):  # a rehearsal has reported it
        request = scope.prepare(subject.quiet()).request
        return request.resource, request.context
    return None
