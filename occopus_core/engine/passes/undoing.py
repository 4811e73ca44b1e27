"""Undoes a build: deletes what it has made, and leaves everything else as it was."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.descriptions.graph import Graph
from occopus_core.engine.differences.dependencies import dependencies
from occopus_core.engine.instance.execution import Execution
from occopus_core.engine.instance.output import without_output
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.connecting import connect
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.destroying import places, sweep
from occopus_core.engine.passes.errors import BuildError, InterruptedBuildError
from occopus_core.engine.passes.forgetting import forget
from occopus_core.engine.planning.replacing import Replacing
from occopus_core.events import EventKind
from occopus_core.store.change import Change
from occopus_core.store.records import InfrastructureRecord, Lease, Stage

_CARRIED_ON = "rollback"
"""The key of what was reported about a rollback that another pass has begun."""


def say_what_lacks(execution: Execution, record: InfrastructureRecord) -> None:
    """Add to the reason of a rollback which nodes are left with too few instances: former ones were deleted first."""
    lacking = []
    for name, target in record.targets.items() if record.description is not None else ():
        works = [work.record for work in execution.works if work.node_name == name]
        left = sum(not (one.provisional or one.stage is Stage.DROPPING) for one in works)
        if left < target and any(one.provisional for one in works):
            lacking.append(f"node '{name}' has {left} of {target} instances until maintenance makes it as it was")
    if execution.problems:
        execution.problems.extend(lacking)
    else:
        execution.interrupted = "; ".join([execution.interrupted, *lacking])


def undo(
    context: PassContext,
    execution: Execution,
    runtime: Runtime,
    lease: Lease,
    record: InfrastructureRecord,
    graph: Graph,
    replacing: Replacing,
) -> Steps[None]:
    """Undo the build under way: delete what it has made, dependents first. Raises `BuildError`.

    In a parked infrastructure, which all other passes leave alone, it ends when every deletion is confirmed.
    """
    reason = execution.interrupted or "; ".join(map(without_output, execution.problems))
    candidate = None if replacing.alone else runtime.scope.infrastructure
    if not record.rolling_back:
        runtime.tell(EventKind.ROLLING_BACK, reason)
    elif context.reported.get(_CARRIED_ON) != reason:
        context.reported[_CARRIED_ON] = reason
        runtime.tell(EventKind.ROLLING_BACK, f"{reason} (carried on)")
    if execution.problems or not replacing.alone:  # an interrupted replacement is begun again

        def begin(change: Change) -> None:
            change.roll_back(candidate, context.resources.connections.redact(reason))
            if replacing.alone:
                context.answer(change, replacing.refusals(f"it failed and is undone: {reason}"))

        runtime.journal.commit_with(begin)
    yield from execution.drop([work for work in execution.works if work.record.provisional], graph)
    context.refuse_if_abandoned()
    if record.description is None and not execution.dropping.unconfirmed:
        yield from sweep(execution, runtime, places(context).among(execution.dropping.links))
        yield from forget(context, execution, runtime)
    context.refuse_if_abandoned()
    with context.resources.store.changing(lease) as change:
        if record.description is not None:
            if not (record.parked and execution.dropping.unconfirmed):
                change.replace_candidate(None, candidate)
                context.reported.pop(_CARRIED_ON, None)
        elif execution.dropping.unconfirmed:
            change.request_destroy()
        else:
            change.remove_infrastructure(runtime.clock.now())
            runtime.tell_with(change, EventKind.INFRA_DROPPED, "its build was rolled back")
    error = BuildError if execution.problems else InterruptedBuildError
    raise error(execution.problems or [reason], execution.dropping.unconfirmed)


def undo_leased(context: PassContext, lease: Lease, record: InfrastructureRecord, why: Sequence[str]) -> Steps[None]:
    """Undo a build that another process has begun and that is not continued. Raises `BuildError`."""
    scope = context.scope(record.candidate or record.current)
    # Those that a rollback is about were answered when it began: the others were requested later.
    pending = [] if record.rolling_back else context.resources.store.pending_requests(context.infra_id)
    replacing = Replacing.of(pending, record, alone=record.candidate is None)
    runtime, works = context.runtime(scope), context.recorded_works()
    connect(context.resources.connections, works)
    execution = context.execution(runtime, {}, record, works)
    execution.dropping.links.update(places(context).links)  # the other process may have left instances there
    execution.problems.extend(why)
    graph = yield from dependencies(context.resources.loop, scope, works)
    yield from undo(context, execution, runtime, lease, record, graph, replacing)
