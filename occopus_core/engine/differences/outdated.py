"""Finds instances that are kept although their user data or settings lack the addresses of their dependees."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.differences.reconfiguring import foreseen_neighbours, with_placeholder_addresses
from occopus_core.engine.differences.rendered_requests import RenderedRequests
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.work import Work, Works
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.planning.mappings import ADDRESS
from occopus_core.engine.planning.plan import Plan, Verb, lacks_addresses, made_before
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.rehearsal import rehearsal_allowance
from occopus_core.render import CutOffError
from occopus_core.store.records import Stage

_Kind: TypeAlias = tuple[str, str, frozenset[str], str]
"""Node name, digest of the implementation, the ids of dependees that were made later, and what it was made from."""

_CHANGING = "its configuration was made with addresses of {0}, which change"
_KEPT = "it is not updated; occopus-build with --replace {0} replaces it, too (see docs/maintenance.md)"


@dataclasses.dataclass(frozen=True, slots=True)
class Lack:
    """The nodes whose addresses an instance lacks: of instances made later, or of those that the plan changes."""

    names: tuple[str, ...] = ()
    changing: bool = False

    @property
    def reason(self) -> str:
        """Why the instance is replaced."""
        return _CHANGING.format(" and ".join(self.names)) if self.changing else made_before(self.names)

    def text(self, scope: Scope, node_name: str) -> str:
        """The reason to keep it in a plan, and what replaces it; empty if it lacks none."""
        is_replaced = node_name in scope.infrastructure.replaced_when_outdated
        if self.changing:
            return f"{self.reason}: {'maintenance replaces it then' if is_replaced else _KEPT.format(node_name)}"
        return lacks_addresses(self.names, scope.infra_id, node_name, is_replaced=is_replaced) if self.names else ""


def with_outdated(
    loop: Loop,
    scope: Scope,
    graph: Graph,
    works: Sequence[Work],
    plan: Plan,
    implementation: Callable[[Work], Implementation] = lambda work: work.implementation,
) -> Steps[Plan]:
    """The plan, with a reason for each ready instance that it keeps and that lacks the addresses of its dependees.

    These are addresses that the plan changes, and those of instances that were made later than itself, unless its
    request would be the one that it was made from. The request of each kind of instance is rendered with the addresses
    before and after, in the pool, without running commands. What cannot be rendered afterwards is left as it is, and
    everything where rendering is cut off. `implementation` returns an instance's implementation from then on.
    """
    found = yield from find_outdated(loop, scope, graph, works, plan, RenderedRequests(), implementation)
    steps = (
        dataclasses.replace(step, reason=found[step.node_id].text(scope, step.node_name))
        if found and step.node_id in found and step.verb is Verb.KEEP and not step.reason
        else step
        for step in plan.steps
    )
    return dataclasses.replace(plan, steps=tuple(steps))


def find_outdated(
    loop: Loop,
    scope: Scope,
    graph: Graph,
    works: Sequence[Work],
    plan: Plan,
    requests: RenderedRequests,
    implementation: Callable[[Work], Implementation] = lambda work: work.implementation,
    commit_due: Callable[[], None] | None = None,
) -> Steps[Mapping[str, Lack] | None]:
    """What each ready instance that stays lacks, by node id; None where rendering is cut off."""
    changing = {step.node_name for step in plan.of(Verb.CREATE, Verb.REPLACE, Verb.DESTROY)}
    staying = [work for work in works if work.stage is not Stage.DROPPING]
    kinds = dict(_kinds(scope, graph, staying, plan.staying, changing, implementation))
    concerned = {kinds[work.node_id]: dataclasses.replace(work) for work in staying if work.node_id in kinds}
    if not concerned:
        return {}
    present = Works(dataclasses.replace(work, dropping=False) for work in staying)
    scope = dataclasses.replace(scope, allowance=rehearsal_allowance())
    after = foreseen_neighbours(scope, works, plan)
    now = dataclasses.replace(after, works=present)
    former, foreseen = _without_replacements(present), Works(map(_with_addresses, after.works.all()))
    then = dataclasses.replace(after, works=foreseen)
    places = {name: place for place, name in enumerate(after.nodes)}

    def lack_of(kind: _Kind, work: Work) -> Lack:
        made_from = work.record.rendered or None
        if made_from == requests.beside(scope, then, work, implementation(work)):
            return Lack()  # it was made with the addresses that stay
        outdating = functools.partial(_outdating, requests, scope, after, work, implementation(work))
        dependees = sorted(places.keys() & graph.dependees(work.node_name), key=places.__getitem__)
        names = tuple(outdating(former, foreseen, [name for name in dependees if name in changing]))
        if names:
            return Lack(names, changing=True)
        if made_from == requests.beside(scope, now, work, implementation(work)):
            return Lack()  # the later ones have the addresses of the former ones
        earlier, later = _parted(present, dependees, kind[2])
        # Where all instances of a node were made later, others were there before.
        before = present.beside({name: earlier[name] or ones for name, ones in later.items()})
        names = tuple(outdating(before, present, [*later]))
        if names and any(earlier.values()):
            # With fewer instances a request may differ although it uses no address.
            as_many = present.beside({name: [*earlier[name], *ones] for name, ones in later.items()})
            names = tuple(outdating(as_many, present, names))
        return Lack(names)

    try:
        lacks = yield from loop.in_pool(
            lambda: {kind: lack_of(kind, work) for kind, work in concerned.items()}, commit_due
        )
    except CutOffError:
        return None
    return {node_id: lacks[kind] for node_id, kind in kinds.items()}


def _kinds(
    scope: Scope,
    graph: Graph,
    works: Sequence[Work],
    kept: Collection[str],
    changing: Collection[str],
    implementation: Callable[[Work], Implementation],
) -> Iterator[tuple[str, _Kind]]:
    """The ids, and the kinds, of the instances that may lack addresses."""
    by_node = _by_node(works)
    discovering = {node.name for node in scope.infrastructure.nodes if node.discovers}
    dependees_of = {name: graph.dependees(name) for name in graph.order if name not in discovering}
    for work in works:
        dependees = dependees_of.get(work.node_name, ())
        if dependees and work.node_id in kept and work.stage is Stage.READY:
            later = frozenset(_later(work, (by_node.get(name, ()) for name in dependees)))
            if later or not set(changing).isdisjoint(dependees):
                yield work.node_id, (work.node_name, implementation(work).digest, later, work.record.rendered)


def _parted(
    works: Works, names: Collection[str], later: Collection[str]
) -> tuple[dict[str, list[Work]], dict[str, list[Work]]]:
    """For each node of `names` with instances in `later` (ids): the others, and these with placeholder addresses."""
    others: dict[str, list[Work]] = {}
    placeholders: dict[str, list[Work]] = {}
    for name in names:
        ones = works.of(name)
        found = [with_placeholder_addresses(one) for one in ones if one.node_id in later]
        if found:
            placeholders[name] = found
            others[name] = [one for one in ones if one.node_id not in later]
    return others, placeholders


def _without_replacements(works: Works) -> Works:
    """Without provisional instances where others exist: an interrupted build has made those as replacements."""
    established = {one.node_name for one in works.all() if not one.record.provisional}
    return Works(one for one in works.all() if not (one.record.provisional and one.node_name in established))


def _with_addresses(work: Work) -> Work:
    """An instance in creation with placeholders where its addresses are not known yet."""
    return work if work.record.addresses or work.stage is Stage.READY else with_placeholder_addresses(work)


def _by_node(works: Sequence[Work]) -> Mapping[str, Sequence[Work]]:
    found: dict[str, list[Work]] = {}
    for work in works:
        found.setdefault(work.node_name, []).append(work)
    return found


def _later(work: Work, others: Iterator[Sequence[Work]]) -> Iterator[str]:
    """The ids of the other instances that have addresses and were made later than the instance."""
    for instances in others:
        for one in instances:
            if one.record.created_at > work.record.created_at and one.record.addresses:
                yield one.node_id


def _outdating(
    requests: RenderedRequests,
    scope: Scope,
    neighbours: Neighbours,
    work: Work,
    implementation: Implementation,
    before: Works,
    after: Works,
    names: Sequence[str],
) -> Iterator[str]:
    """Of `names`, the nodes whose addresses afterwards would make the instance another one, as they are described."""
    former = dataclasses.replace(neighbours, works=before)
    handed = former.handed(work.node_name).values
    made = requests.beside(scope, former, work, implementation)
    for name in names:
        then = dataclasses.replace(neighbours, works=before.beside({name: after.of(name)}))
        addresses = handed_addresses(then, work.node_name)
        if requests.beside(scope, then, work, implementation, {**handed, **addresses}) not in ("", made):
            yield name


def handed_addresses(neighbours: Neighbours, node_name: str) -> dict[str, Any]:
    """Of the attributes that the node receives, those that are addresses."""
    edges = neighbours.dependencies.get(node_name, ())
    targets = {mapping.target for edge in edges for mapping in edge.mappings if mapping.source == ADDRESS}
    return {name: value for name, value in neighbours.handed(node_name).values.items() if name in targets}
