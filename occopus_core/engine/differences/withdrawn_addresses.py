"""Finds unfinished instances whose requests hold addresses of dependees that are replaced or gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.differences.outdated import handed_addresses
from occopus_core.engine.differences.reconfiguring import foreseen_neighbours, with_placeholder_addresses
from occopus_core.engine.differences.rendered_requests import RenderedRequests
from occopus_core.engine.instance.work import Work, Works
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.plan import Plan, Verb
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.rehearsal import rehearsal_allowance
from occopus_core.render import CutOffError
from occopus_core.store.records import UNKNOWN_REQUEST, Stage

_WITHDRAWN = "it is not ready yet, and was made with addresses of {0} that others take the place of"


def with_withdrawn_addresses(
    loop: Loop,
    scope: Scope,
    graph: Graph,
    works: Sequence[Work],
    situation: Situation,
    requests: RenderedRequests,
    commit_due: Callable[[], None],
    implementation: Callable[[Work], Implementation] = lambda work: work.implementation,
) -> Steps[Situation]:
    """The situation with the unfinished instances to replace, because addresses that they were made with go away.

    An instance stays where its request would be the same beside the instances that stay, whether or not it knows of
    those that were made later. One with an `UNKNOWN_REQUEST` is replaced if that has addresses. What cannot
    be rendered stays, and everything where rendering is cut off. `implementation` returns an instance's implementation
    from now on.
    """
    unfinished = [one for one in works if one.record.rendered and one.stage not in (Stage.READY, Stage.DROPPING)]
    discovering = {node.name for node in scope.infrastructure.nodes if node.discovers}
    unfinished = [work for work in unfinished if work.node_name in {*graph.order} - discovering]
    while unfinished:
        plan = decide(situation)
        limited = dataclasses.replace(scope, allowance=rehearsal_allowance())
        finder = _Finder(limited, works, plan, requests, implementation)
        concerned = [(work, names) for work in unfinished if (names := finder.changing(work, graph))]
        try:
            found = yield from loop.in_pool(lambda finder=finder, them=concerned: finder.find(them), commit_due)  # type: ignore[misc]
        except CutOffError:
            break
        if not found:
            break
        situation = dataclasses.replace(situation, unfit={**situation.unfit, **found})
    return situation


class _Finder:
    def __init__(
        self,
        scope: Scope,
        works: Sequence[Work],
        plan: Plan,
        requests: RenderedRequests,
        implementation: Callable[[Work], Implementation],
    ) -> None:
        self._scope = scope
        self._requests = requests
        self._implementation = implementation
        self._kept = {step.node_id for step in plan.of(Verb.KEEP)}
        self._changing = {step.node_name for step in plan.of(Verb.CREATE, Verb.REPLACE, Verb.DESTROY)}
        self._foreseen = foreseen_neighbours(scope, works, plan)
        self._present = dataclasses.replace(self._foreseen, works=Works(works))
        known = {work.node_id: work for work in works if work.record.addresses}
        self._known = [one for one in self._foreseen.works.all() if one.node_id in known]
        coming = [one for one in self._foreseen.works.all() if one.node_id not in known]
        self._coming = [with_placeholder_addresses(one) for one in coming]

    def changing(self, work: Work, graph: Graph) -> list[str]:
        """The dependees of a kept instance whose instances change, or have changed since it was begun."""
        if work.node_id not in self._kept:
            return []
        later = {one.node_name for one in self._known if one.record.created_at > work.record.created_at}
        changing = {*self._changing, *later, *(one.node_name for one in self._coming)}
        return [name for name in graph.dependees(work.node_name) if name in changing]

    def find(self, concerned: Sequence[tuple[Work, Sequence[str]]]) -> dict[str, str]:
        """The reason to replace each of the instances that is to be replaced. Runs in the pool."""
        kinds: dict[tuple[str, str, str, float], bool] = {}
        found: dict[str, str] = {}
        for work, names in concerned:
            record = work.record
            kind = (work.node_name, self._implementation(work).digest, record.rendered, record.created_at)
            if kind not in kinds:
                kinds[kind] = self._differs(work)
            if kinds[kind]:
                found[work.node_id] = _WITHDRAWN.format(" and ".join(names))
        return found

    def _differs(self, work: Work) -> bool:
        if work.record.rendered == UNKNOWN_REQUEST:
            return self._has_addresses(work)
        rendered = [self._rendered(work, others) for others in self._possible(work)]
        return work.record.rendered not in rendered and "" not in rendered

    def _has_addresses(self, work: Work) -> bool:
        """True if its request depends on the addresses of others."""
        one, other = (
            [with_placeholder_addresses(each, address) for each in self._foreseen.works.all()]
            for address in ("one", "other")
        )
        rendered = {self._rendered(work, one), self._rendered(work, other)}
        return len(rendered) > 1 and "" not in rendered

    def _possible(self, work: Work) -> Iterator[list[Work]]:
        """The instances that it may have been made beside, of those that stay; placeholders where a node has none."""
        earlier = [one for one in self._known if one.record.created_at <= work.record.created_at]
        ready = [one for one in self._known if one.stage is Stage.READY]
        for others in (self._known, ready, earlier):
            names = {one.node_name for one in others}
            yield [*others, *(one for one in (*self._known, *self._coming) if one.node_name not in names)]

    def _rendered(self, work: Work, others: Sequence[Work]) -> str:
        beside = dataclasses.replace(self._foreseen, works=Works(others))
        published = self._present.handed(work.node_name).values
        handed = {**published, **handed_addresses(beside, work.node_name)}
        return self._requests.beside(self._scope, beside, work, self._implementation(work), handed)
