"""Finds instances that a plan keeps although their user data or settings lack the addresses of their dependees."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.passes.reconfiguring import foreseen_neighbours
from occopus_core.engine.planning.mappings import ADDRESS
from occopus_core.engine.planning.plan import Plan, Verb
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.rehearsal import PLACEHOLDER_HOST_KEY, rehearsal_allowance
from occopus_core.render import CutOffError
from occopus_core.store.records import Stage

_Kind: TypeAlias = tuple[str, str, frozenset[str]]
"""Node name, digest of the implementation, and the ids of dependees that were made later."""

_CHANGING = (
    "its configuration was made with addresses of {0}, which change: it is not updated; "
    "occopus-build with --replace {1} replaces it, too (see docs/maintenance.md)"
)
_LATER = (
    "its configuration was made before other instances of {0}, without their addresses; "
    "occopus-build with --replace {1} replaces it (see docs/maintenance.md)"
)


def with_outdated(
    loop: Loop,
    scope: Scope,
    graph: Graph,
    works: Sequence[Work],
    plan: Plan,
    implementation: Callable[[Work], Implementation] = lambda work: work.implementation,
) -> Steps[Plan]:
    """The plan, with a reason for each ready instance that it keeps and that lacks the addresses of its dependees.

    These are addresses that the plan changes, and those of instances that were made later than itself. The request of
    each kind of instance is rendered with the addresses before and after, in the pool, without running commands. What
    cannot be rendered afterwards is left as it is, and everything where rendering is cut off. `implementation` returns
    an instance's implementation from then on.
    """
    changing = {step.node_name for step in plan.of(Verb.CREATE, Verb.REPLACE, Verb.DESTROY)}
    present = [dataclasses.replace(work, dropping=False) for work in works if work.stage is not Stage.DROPPING]
    kept = {step.node_id for step in plan.of(Verb.KEEP)}
    kinds: dict[str, _Kind] = {}
    concerned: dict[_Kind, Work] = {}
    for work in present:
        if work.node_id in kept and work.stage is Stage.READY:
            dependees = frozenset(graph.dependees(work.node_name))
            later = frozenset(_later(work, (one for one in present if one.node_name in dependees)))
            if later or changing & dependees:
                kinds[work.node_id] = (work.node_name, implementation(work).digest, later)
                concerned.setdefault(kinds[work.node_id], work)
    if not concerned:
        return plan
    scope = dataclasses.replace(scope, allowance=rehearsal_allowance())
    after = foreseen_neighbours(scope, works, plan)

    def reason_of(kind: _Kind, work: Work) -> str:
        outdating = functools.partial(_outdating, scope, after, work, implementation(work))
        names = list(outdating(present, list(after.works()), changing))
        if names:
            return _CHANGING.format(" and ".join(names), work.node_name)
        earlier = [one for one in present if one.node_id not in kind[2]]
        names = list(outdating(earlier, present, {one.node_name for one in present if one.node_id in kind[2]}))
        return _LATER.format(" and ".join(names), work.node_name) if names else ""

    try:
        reasons = yield from loop.in_pool(lambda: {kind: reason_of(kind, work) for kind, work in concerned.items()})
    except CutOffError:
        return plan
    steps = (
        dataclasses.replace(step, reason=reasons[kinds[step.node_id]])
        if step.node_id in kept & kinds.keys() and not step.reason
        else step
        for step in plan.steps
    )
    return dataclasses.replace(plan, steps=tuple(steps))


def _later(work: Work, others: Iterable[Work]) -> Iterator[str]:
    """The ids of the other instances that have addresses and were made later than the instance."""
    for one in others:
        if one.record.created_at > work.record.created_at and one.record.addresses:
            yield one.node_id


def _outdating(
    scope: Scope,
    neighbours: Neighbours,
    work: Work,
    implementation: Implementation,
    before: Sequence[Work],
    after: Sequence[Work],
    names: Collection[str],
) -> Iterator[str]:
    """Of `names`, the nodes whose addresses afterwards would make the instance another one, as they are described."""
    former = dataclasses.replace(neighbours, works=lambda: before)
    handed = former.handed(work.node_name).values
    made = _request(scope, former, work, implementation, handed)
    for name in neighbours.nodes:
        if name not in names or name == work.node_name:
            continue
        others = [one for one in before if one.node_name != name]
        mixed = [*others, *(one for one in after if one.node_name == name)]
        then = dataclasses.replace(neighbours, works=lambda mixed=mixed: mixed)  # type: ignore[misc]
        addresses = _handed_addresses(then, work.node_name)
        if _request(scope, then, work, implementation, {**handed, **addresses}) not in (None, made):
            yield name


def _handed_addresses(neighbours: Neighbours, node_name: str) -> dict[str, Any]:
    """Of the attributes that the node receives, those that are addresses."""
    edges = (edge for edge in neighbours.dependencies if edge.dependent == node_name)
    targets = {mapping.target for edge in edges for mapping in edge.mappings if mapping.source == ADDRESS}
    return {name: value for name, value in neighbours.handed(node_name).values.items() if name in targets}


def _request(
    scope: Scope, neighbours: Neighbours, work: Work, implementation: Implementation, handed: Mapping[str, Any]
) -> object:
    """What its provider would be asked for; None if it cannot be rendered. Raises `CutOffError`."""
    subject = dataclasses.replace(
        neighbours.subject(work, implementation), mapped=handed, host_key=lambda: PLACEHOLDER_HOST_KEY
    )
    try:
        request = scope.prepare(subject.quiet()).request
    except CutOffError:
        raise
    except Exception:  # noqa: BLE001  # a rehearsal has reported it
        return None
    return request.resource, request.context
