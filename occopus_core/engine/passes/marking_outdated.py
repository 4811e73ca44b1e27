"""Marks the instances that are kept although they lack the addresses of their dependees."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.descriptions.graph import Graph
from occopus_core.engine.differences.dependencies import dependencies
from occopus_core.engine.differences.outdated import Lack, find_outdated
from occopus_core.engine.differences.rendered_requests import RenderedRequests
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.events import EventKind
from occopus_core.store.records import Stage


def mark_outdated(
    context: PassContext, runtime: Runtime, works: Sequence[Work], graph: Graph | None = None
) -> Steps[None]:
    """Record in its row which addresses each ready instance lacks, with one event for each node.

    Does nothing where no instance has come since the last call for this infrastructure, nor gone while others are
    marked, and where rendering is cut off. Without the `graph` of the nodes, it is derived from their templates.
    """
    works = [work for work in works if work.stage is Stage.READY and not work.dropping]
    running = frozenset((work.node_id, work.record.address) for work in works)
    known, context.compared = context.compared, running
    come = running - (known or frozenset())
    if running == known or context.interrupted or not (come or any(work.record.outdated for work in works)):
        return
    commit_due = runtime.journal.commit_due
    if graph is None:
        graph = yield from dependencies(runtime.loop, runtime.scope, works)
    kept = Plan(tuple(Step(Verb.KEEP, work.node_name, "", work.node_id) for work in works))
    requests = RenderedRequests()
    found = yield from find_outdated(runtime.loop, runtime.scope, graph, works, kept, requests, commit_due=commit_due)
    if found is None:
        return
    newly: dict[str, dict[str, None]] = {}
    for work in works:
        names = found.get(work.node_id, Lack()).names
        if work.stage is Stage.READY and not work.dropping and names != work.record.outdated:
            newly.setdefault(work.node_name, {}).update(dict.fromkeys(names))
            runtime.journal.put(work.update(outdated=names))
    for node_name, others in newly.items():
        if others:
            text = Lack(tuple(others)).text(runtime.scope, node_name)
            runtime.tell(EventKind.NODE_OUTDATED, text, node_name)
