"""The plan of the next maintenance pass, without carrying it out."""

from __future__ import annotations

import dataclasses

from occopus_core.engine.differences.dependencies import dependencies
from occopus_core.engine.differences.outdated import with_outdated
from occopus_core.engine.differences.reconfiguring import amend
from occopus_core.engine.differences.replacing_outdated import with_outdated_due
from occopus_core.engine.instance.failure_detection import Notes
from occopus_core.engine.instance.work import condemn
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.build_plan import plan_build
from occopus_core.engine.passes.comparing import with_changes
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.designing import design_in_pool, design_of_replacement
from occopus_core.engine.passes.survey import decide_pass, situation_of, survey
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.design import Overlay
from occopus_core.engine.planning.plan import Plan, Verb
from occopus_core.engine.planning.replacing import Replacing
from occopus_core.engine.planning.scaling import scale
from occopus_core.store.records import InfrastructureRecord, InfrastructureState

_ROLLED_BACK = "it was made by a build that is being rolled back"


def preview(context: PassContext) -> Steps[Plan]:
    """The plan of the next pass, pending scaling requests included. Changes nothing.

    Raises `InvalidDesignError`, `ProviderError`, `NoSuchInfrastructureError`.
    """
    record = context.resources.store.infrastructure(context.infra_id)
    if record.parked and not record.rolling_back:
        return Plan((), record.parked)
    if record.expires_at is not None and record.expires_at <= context.resources.loop.clock.now():
        record = dataclasses.replace(record, wanted=False)
    if not record.wanted:
        return decide(Situation({}, [work.record for work in context.recorded_works()]))
    plan = yield from _next(context, record)
    return _naming_rollback(context, plan) if record.state is InfrastructureState.ROLLING_BACK else plan


def _next(context: PassContext, record: InfrastructureRecord) -> Steps[Plan]:
    """The plan for an infrastructure that is wanted; for a parked one, the end of its rollback."""
    store = context.resources.store
    requests = store.pending_requests(context.infra_id)
    works = context.recorded_works()
    if record.rolling_back:
        made = [work for work in works if work.record.provisional]
        condemn(works, [work.node_id for work in made])
        if record.description is None or record.parked:
            going = decide(Situation({}, [work.record for work in made]))
            return dataclasses.replace(going, frozen=record.parked)
        record = dataclasses.replace(record, candidate=None, candidate_definitions={})
    replacing = Replacing.of(requests, record, alone=record.candidate is None)
    scaled = scale(requests, record.current, record.targets, [work.record for work in works])
    if record.candidate is None:
        condemn(works, scaled.condemned)
        record = dataclasses.replace(record, targets=scaled.targets)
    scope = context.scope(record.candidate or record.current)
    if record.candidate is not None:
        definitions = Overlay(record.candidate_definitions, store)
        design = yield from design_in_pool(context, scope, definitions)
        plan = (yield from plan_build(context, design, record, works, replacing)).steps
        return with_changes(context, plan, record, design, works, record.candidate_definitions)
    if replacing.requests:
        design = yield from design_of_replacement(context, scope, replacing)
        return (yield from plan_build(context, design, record, works, replacing)).steps
    found = yield from survey(context, context.applicable(record), works, lambda: None, Notes())
    situation = situation_of(context, record, works, scaled.targets, found)
    loop = context.resources.loop
    situation = yield from with_outdated_due(loop, scope, works, situation)
    amended = yield from amend(loop, scope, works, situation, lambda: None)
    plan = (yield from decide_pass(context, scope, works, amended.situation)).plan
    return (yield from with_outdated(loop, scope, (yield from dependencies(loop, scope, works)), works, plan))


def _naming_rollback(context: PassContext, plan: Plan) -> Plan:
    """The plan with the reason of those deletions that belong to the rollback."""
    made = {one.node_id for one in context.resources.store.instances(context.infra_id) if one.provisional}
    steps = (
        dataclasses.replace(step, reason=_ROLLED_BACK) if step.verb is Verb.DESTROY and step.node_id in made else step
        for step in plan.steps
    )
    return dataclasses.replace(plan, steps=tuple(steps))
