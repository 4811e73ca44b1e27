"""Which instances are replaced because they lack the addresses of their dependees, as their nodes ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.differences.dependencies import dependencies
from occopus_core.engine.differences.outdated import find_outdated
from occopus_core.engine.differences.reconfiguring import Amended, amend
from occopus_core.engine.differences.rendered_requests import RenderedRequests
from occopus_core.engine.differences.withdrawn_addresses import with_withdrawn_addresses
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.dependees import closure
from occopus_core.engine.planning.plan import Verb, made_before
from occopus_core.engine.planning.preparation import Scope
from occopus_core.store.records import Stage


def amend_build(
    loop: Loop,
    scope: Scope,
    graph: Graph,
    works: Sequence[Work],
    situation: Situation,
    implementation: Callable[[Work], Implementation],
    commit_due: Callable[[], None],
) -> Steps[Amended]:
    """The situation of a build, with instances to reconfigure, and outdated ones to replace: see `amend`.

    Unfinished ones are outdated by addresses that they were made with, see `with_withdrawn_addresses`. An instance that
    is replaced may outdate others, so the plan is made again until it outdates no more.
    """
    names, requests = scope.infrastructure.replaced_when_outdated, RenderedRequests()
    while True:
        situation = yield from with_withdrawn_addresses(
            loop, scope, graph, works, situation, requests, commit_due, implementation
        )
        amended = yield from amend(loop, scope, works, situation, commit_due, None, implementation)
        situation = amended.situation
        if not names:
            return amended
        plan = decide(situation)
        lacks = yield from find_outdated(loop, scope, graph, works, plan, requests, implementation, commit_due)
        following = {work.node_id for work in works if work.node_name in names} - situation.outdated.keys()
        found = {node_id: lack.reason for node_id, lack in (lacks or {}).items() if lack.names and node_id in following}
        if not found:
            return amended
        situation = dataclasses.replace(situation, outdated={**situation.outdated, **found})


def with_outdated_due(loop: Loop, scope: Scope, works: Sequence[Work], situation: Situation) -> Steps[Situation]:
    """The situation of maintenance, with the outdated instances that may be replaced now, as their rows say.

    An instance waits until all nodes that its node depends on, directly or indirectly, have all their instances ready
    and have none to replace: otherwise it would be outdated again.
    """
    names = scope.infrastructure.replaced_when_outdated
    outdated = [
        work
        for work in works
        if work.record.outdated and work.node_name in names and not (work.dropping or work.record.condemned)
    ]
    if not outdated:
        return situation
    ready = {record.node_id for record in situation.records if record.stage is Stage.READY}
    unsettled = {work.node_name for work in outdated}
    for step in decide(situation).steps:
        if step.verb is not Verb.DESTROY and not (step.verb is Verb.KEEP and step.node_id in ready):
            unsettled.add(step.node_name)
    needed = closure((yield from dependencies(loop, scope, works)))
    due = {
        work.node_id: made_before(work.record.outdated)
        for work in outdated
        if unsettled.isdisjoint(needed.get(work.node_name, ()))
    }
    return dataclasses.replace(situation, outdated=due)
