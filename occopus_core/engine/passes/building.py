"""A build: creates the infrastructure as described, or changes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence

from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDefinition
from occopus_core.descriptions.text import same_description
from occopus_core.engine.instance.execution import Execution
from occopus_core.engine.instance.failure_detection import Notes, notes_of, with_new_checks
from occopus_core.engine.instance.reservation import new_works
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.belated import cleaning_up
from occopus_core.engine.passes.changed_checks import with_changed_checks
from occopus_core.engine.passes.comparing import with_changes
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.dependencies import dependencies
from occopus_core.engine.passes.designing import design_in_pool
from occopus_core.engine.passes.destroying import places
from occopus_core.engine.passes.errors import BusyError, UnconfiguredError, UnconfirmedError
from occopus_core.engine.passes.former_first import with_former_first
from occopus_core.engine.passes.life_time import first_life_time, move_end, refuse_past_end
from occopus_core.engine.passes.needs_of_followers import amend_with_needs, unconfigured
from occopus_core.engine.passes.outdated import mark_outdated, with_outdated
from occopus_core.engine.passes.reconfiguring import Amended
from occopus_core.engine.passes.replacing_outdated import amend_build
from occopus_core.engine.passes.survey import survey, waiting_for_definitions
from occopus_core.engine.passes.undoing import say_what_lacks, undo
from occopus_core.engine.passes.waiting_for_lease import acquire_for_build
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.design import Design, InvalidDesignError, Overlay, first_plan, refuse_undefined
from occopus_core.engine.planning.plan import Hold, Plan, Verb
from occopus_core.engine.planning.replacing import Replacing
from occopus_core.engine.planning.scaling import targets_of
from occopus_core.events import EventKind
from occopus_core.store.change import Change
from occopus_core.store.records import InfrastructureRecord, Lease, NoSuchInfrastructureError, Stage
from occopus_core.store.repository import InfrastructureTakenError, Store


def plan(
    context: PassContext,
    candidate: Infrastructure,
    own: Mapping[str, NodeDefinition] | None = None,
    replaced: Collection[str] = (),
    end: float | None = None,
) -> Steps[Plan]:
    """The plan of a build; changes nothing.

    Raises `InvalidDesignError`, `ProviderError`, and `BusyError` if the infrastructure is being destroyed.

    The node definitions `own` replace stored ones of the same names. It replaces all instances of the nodes `replaced`.
    `end` is that of `build`.
    """
    store, scope = context.resources.store, context.scope(candidate)
    definitions = Overlay(own or {}, store)
    record = _known(context)
    refuse_past_end(candidate, context.resources.loop.clock.now(), record, end)
    if record is None:
        return (yield from context.resources.loop.in_pool(lambda: first_plan(scope, definitions)))
    refuse_unwanted(record)
    design = yield from design_in_pool(context, scope, definitions=definitions, with_outputs=True)
    works = context.recorded_works()
    replacing = Replacing.of(store.pending_requests(context.infra_id), record, replaced)
    steps = yield from plan_build(context, design, record, works, replacing)
    loop = context.resources.loop
    steps = with_changes(context, steps, record, design, works, own or {}, end)
    return (yield from with_outdated(loop, scope, design.graph, works, steps, lambda work: _adopted(design, work)))


def check(context: PassContext, candidate: Infrastructure) -> Steps[None]:
    """Check a description with the stored definitions. Asks no provider. Raises `InvalidDesignError`."""
    refuse_past_end(candidate, context.resources.loop.clock.now(), _known(context))
    yield from design_in_pool(context, context.scope(candidate), with_outputs=True)


@cleaning_up
def build(
    context: PassContext,
    candidate: Infrastructure,
    begun: Callable[[], None] = lambda: None,
    end: float | None = None,
    replaced: Collection[str] = (),
    own: Mapping[str, NodeDefinition] | None = None,
) -> Steps[None]:
    """Build the infrastructure as described, or roll back and leave it as it was.

    `begun` is called when the description is valid, before anything is recorded. `end` is the end of its life time in
    seconds since 1970; None for the one of the description. All instances of the nodes `replaced` are replaced; a build
    that continues a killed one does not know of them. Those of the node definitions `own` (by name) that the
    description uses are recorded with it, and stored in the place of others of the same names when it is in force.
    Raises `InvalidDesignError`, `BusyError`, `BuildError`, `InterruptedBuildError`, `AbandonedError`,
    `UnconfirmedError`, `ProviderError`, `LeaseLostError`, `StoreError`.
    """
    refuse_past_end(candidate, context.resources.loop.clock.now(), _known(context), end)
    context.building = True  # an interruption while templates are rendered ends a build
    own = own or {}
    scope = context.scope(candidate)
    definitions = Overlay(own, context.resources.store)
    design = yield from design_in_pool(context, scope, definitions=definitions, with_outputs=True)
    context.building = False
    begun()
    types = {node.type for node in candidate.nodes}
    used = {name: definition for name, definition in own.items() if name in types}
    lease = yield from _lease(context, candidate, end, used)
    with context.releasing(lease):
        record = context.resources.store.infrastructure(context.infra_id)
        refuse_unwanted(record)
        context.building = True
        yield from build_leased(context, design, lease, record, end, replaced=replaced, own=used)


def _known(context: PassContext) -> InfrastructureRecord | None:
    """The record of the infrastructure; None where there is none yet."""
    with contextlib.suppress(NoSuchInfrastructureError):
        return context.resources.store.infrastructure(context.infra_id)
    return None


def refuse_unwanted(record: InfrastructureRecord) -> None:
    """Refuse to work on an infrastructure that is being destroyed. Raises `BusyError`."""
    if not record.wanted:
        finish = f"occopus-destroy -i {record.id}"
        raise BusyError(f"the infrastructure '{record.id}' is being destroyed: {finish} finishes that")


def _lease(
    context: PassContext, candidate: Infrastructure, end: float | None, own: Mapping[str, NodeDefinition]
) -> Steps[Lease]:
    """The lease. An infrastructure that does not exist yet is recorded, with the definitions `own`."""
    resources = context.resources
    while True:
        with contextlib.suppress(NoSuchInfrastructureError):
            return (yield from acquire_for_build(context))
        with contextlib.suppress(InfrastructureTakenError):  # another process created it first
            lease = context.take(
                lambda now: resources.store.add_infrastructure(
                    context.infra_id,
                    candidate,
                    targets_of(candidate, {}),
                    resources.holder,
                    now,
                    life_time=first_life_time(candidate, now, end),
                    definitions=own,
                    check_types=functools.partial(refuse_undefined, candidate),
                )
            )
            context.tell(EventKind.INFRA_CREATED, candidate.name)
            return lease


def build_leased(
    context: PassContext,
    design: Design,
    lease: Lease,
    record: InfrastructureRecord,
    end: float | None = None,
    planned: Callable[[], None] = lambda: None,
    replaced: Collection[str] = (),
    own: Mapping[str, NodeDefinition] | None = None,
    *,
    alone: bool = False,
) -> Steps[None]:
    """Build under a lease, see `build`. `planned` is called before anything is recorded or created.

    The `design` was made with the node definitions `own`; None where the build of the record is continued.
    Stored requests to replace nodes are carried out, too. `alone` is for a build that does nothing else, under the
    description in force; if that fails, the requests are answered with the reason.
    """
    store = context.resources.store
    candidate = design.scope.infrastructure
    runtime = context.runtime(design.scope)
    works = context.recorded_works()
    notes = notes_of(runtime)
    replacing = Replacing.of(store.pending_requests(context.infra_id), record, replaced, alone=alone)
    steps = yield from plan_build(context, design, record, works, replacing, runtime.journal.commit_due, notes)
    planned()
    if own is None:
        own = record.candidate_definitions
    else:
        _begin(store, lease, record, candidate, own)
    unwanted = {step.node_id for step in steps.of(Verb.DESTROY, Verb.REPLACE)}
    for work in works:
        work.dropping = work.node_id in unwanted
    fresh = new_works(runtime, design.blueprints, steps, works)
    execution = context.execution(runtime, design.blueprints, record, [*works, *fresh])
    execution.links.update(places(context).links)  # a killed process may have left instances there
    made = (work for work in works if _is_made(work, design) and work.node_name not in steps.left)
    unfinished = [work for work in made if work.stage is not Stage.READY]
    # Rows of instances that a build has not made have their former definitions until it has succeeded.
    _adopt_definitions(runtime, design, [work for work in unfinished if work.record.provisional])
    proved = {step.node_id for step in steps.steps if step.proved}
    kept = [work for work in works if work.node_id in proved]
    for work in [*unfinished, *kept]:  # their new health checks decide whether they are ready
        work.implementation = _adopted(design, work)
    if not (yield from execution.create([*unfinished, *fresh], design.graph, kept)):
        context.refuse_if_abandoned()
        say_what_lacks(execution, record)
        yield from undo(context, execution, runtime, lease, record, design.graph, replacing)
    runtime.journal.flush()
    held = {step.node_id for step in steps.of(Verb.WAIT) if step.hold is Hold.REPLACEMENT}
    _adopt_definitions(runtime, design, [work for work in works if work.node_id not in held])
    _forget_failures(runtime, steps, works)
    runtime.journal.commit_with(
        lambda change: _finish(change, context, runtime, record, design, steps, works, replacing, end, own)
    )
    yield from _settle(context, runtime, execution, record, design, steps, works)


def _settle(
    context: PassContext,
    runtime: Runtime,
    execution: Execution,
    record: InfrastructureRecord,
    design: Design,
    steps: Plan,
    works: Sequence[Work],
) -> Steps[None]:
    """Reconfigure and delete what a build that has succeeded changes and removes.

    Instances that stay are reconfigured before their former dependees are deleted. Raises `UnconfirmedError` and
    `UnconfiguredError`. `works` were there before.
    """
    renewed = {step.node_id for step in steps.of(Verb.RECONFIGURE)}
    made = [work for work in works if _is_made(work, design) and work.node_name not in steps.left]
    followers = [work for work in works if work.node_name in steps.left and work.node_id in renewed]
    yield from execution.reconfigure([*made, *followers], design.graph, renewed)
    context.refuse_if_abandoned()
    yield from mark_outdated(context, runtime, execution.works, design.graph)
    runtime.journal.flush()
    before = design.graph
    if record.description is not None:
        before = yield from dependencies(context.resources.loop, context.scope(record.description), works)
    replaced_ids = {step.node_id for step in steps.of(Verb.REPLACE)}
    going = (work for work in execution.works if work.dropping)
    mine = [work for work in going if work.node_name not in steps.left or work.node_id in replaced_ids]
    yield from execution.drop(mine, before)
    context.refuse_if_abandoned()
    yield from context.forget_left(runtime)
    if execution.unconfirmed:
        raise UnconfirmedError(execution.unconfirmed)
    if execution.unconfigured:
        raise UnconfiguredError(execution.unconfigured)


def _finish(
    change: Change,
    context: PassContext,
    runtime: Runtime,
    record: InfrastructureRecord,
    design: Design,
    steps: Plan,
    works: Sequence[Work],
    replacing: Replacing,
    end: float | None,
    own: Mapping[str, NodeDefinition],
) -> None:
    """Record that the build has succeeded, with the definitions `own`, and what goes now. `works` were there before."""
    candidate = design.scope.infrastructure
    if replacing.alone:
        change.keep_instances()
    else:
        if own:
            change.put_definitions(own.values())
        change.finish_build(candidate, targets_of(candidate, record.targets))
        moved = move_end(change, record, candidate, runtime.clock.now(), end)
        if moved:
            runtime.tell_with(change, EventKind.LIFE_TIME_CHANGED, moved)
    if record.parked or (record.frozen and not steps.left):  # the build replaces the failed instances
        change.put_frozen("")
        runtime.tell_with(change, EventKind.UNFROZEN, _thawed(record))
    rechecked = {step.node_name for step in steps.steps if step.rechecked}
    if rechecked & record.setbacks.keys():
        change.put_setbacks({name: one for name, one in record.setbacks.items() if name not in rechecked})
    # If this process dies now, the next pass removes them.
    change.condemn({step.node_id for step in steps.of(Verb.DESTROY, Verb.REPLACE)})
    context.answer(change, replacing.answers([work.record for work in works], steps, design.blueprints))
    if record.description is None:
        runtime.tell_with(change, EventKind.INFRA_READY)
    elif not same_description(record.description, candidate) or not steps.empty:
        runtime.tell_with(change, EventKind.INFRA_UPDATED)
    elif record.candidate is not None:  # it was requested: the log says what came of that
        runtime.tell_with(change, EventKind.INFRA_UPDATED, "nothing had to be changed")


def _begin(
    store: Store,
    lease: Lease,
    record: InfrastructureRecord,
    candidate: Infrastructure,
    own: Mapping[str, NodeDefinition],
) -> None:
    """Record what the build works towards, with the definitions `own`, also in the place of a rollback that was begun.

    Raises `BusyError` if something else was requested after its lease began, and `InvalidDesignError` if a node
    definition was removed.
    """
    unlike = own or record.candidate_definitions or record.rolling_back
    if same_description(record.candidate, candidate) and not unlike:
        return
    with store.changing(lease) as change:
        refuse_undefined(candidate, {*own, *change.defined_types(candidate)})
        if not change.replace_candidate(candidate, record.candidate, own):
            raise BusyError(f"another description of the infrastructure '{record.id}' has just been requested")


def _thawed(record: InfrastructureRecord) -> str:
    return "it was built again" if record.parked else "a build has replaced the failed instances"


def _adopt_definitions(runtime: Runtime, design: Design, works: Sequence[Work]) -> None:
    """Apply the new definitions to instances that stay."""
    for work in works:
        if not _is_made(work, design):
            continue
        blueprint = design.blueprints[work.node_name]
        if work.record.implementation in blueprint.fingerprints:
            continue
        work.implementation = _adopted(design, work)
        runtime.journal.keep(work.implementation)
        work.record = dataclasses.replace(work.record, implementation=work.implementation.digest)
        runtime.journal.put(work.record)


def _forget_failures(runtime: Runtime, steps: Plan, works: Sequence[Work]) -> None:
    """Forget the failures of instances by health checks that are no longer in force."""
    rechecked = {step.node_id for step in steps.steps if step.rechecked}
    for work in works:
        if work.node_id in rechecked:
            work.record = with_new_checks(work.record, runtime.clock.now())
            runtime.journal.put(work.record)


def _is_made(work: Work, design: Design) -> bool:
    """True for an instance that stays and whose node can be made: a replacement leaves other nodes alone."""
    return not work.dropping and work.node_name in design.blueprints


def _adopted(design: Design, work: Work) -> Implementation:
    """The implementation for an instance that stays: its own, or the new one that is equivalent."""
    blueprint = design.blueprints.get(work.node_name)
    if blueprint is None or work.record.implementation in blueprint.fingerprints:
        return work.implementation
    alike = (i for i in blueprint.implementations if blueprint.fingerprints[i.digest] == work.record.fingerprint)
    return next(alike, work.implementation)


def plan_build(
    context: PassContext,
    design: Design,
    record: InfrastructureRecord,
    works: Sequence[Work],
    replacing: Replacing,
    commit_due: Callable[[], None] = lambda: None,
    notes: Notes = Notes(),  # noqa: B008  # it has no state
) -> Steps[Plan]:
    """The plan of a build: instances that do not fit the description or have failed are replaced at once.

    A requested replacement leaves other nodes to maintenance, see `amend_with_needs`. Raises `ProviderError` if the
    provider of a node that is not left does not answer, and `InvalidDesignError` if a node cannot be made: it has no
    usable definition, needs what another instance has, or cannot be configured.
    """
    applicable = context.applicable(record)
    found = yield from survey(context, applicable, works, commit_due, notes)
    targets = targets_of(design.scope.infrastructure, record.targets)
    records = [work.record for work in works]
    unfit = replacing.unfit(design.blueprints, records)
    now = context.resources.loop.clock.now()
    situation = Situation(targets, records, now, found.ailments, unfit, ordered=True)
    settled = same_description(record.description, design.scope.infrastructure)
    loop = context.resources.loop

    def amended_beside(situation: Situation) -> Steps[Amended]:
        for work in works:
            if work.node_name not in situation.left.nodes and work.node_id in found.seen:
                found.seen[work.node_id].get()
        return amend_build(
            loop, design.scope, design.graph, works, situation, lambda work: _adopted(design, work), commit_due
        )

    amended = yield from amend_with_needs(design.graph, works, situation, replacing, amended_beside, settled=settled)
    situation = amended.situation
    situation = yield from with_changed_checks(
        loop, applicable, design.scope, works, situation, lambda work: _adopted(design, work), commit_due
    )
    waiting = waiting_for_definitions(situation, design)
    steps = decide(dataclasses.replace(situation, undefined=waiting))
    steps = yield from with_former_first(loop, design.scope, applicable, works, steps, design.blueprints, commit_due)
    stuck = [text for name, text in steps.held(Hold.DEFINITION).items() if name not in situation.left.nodes]
    stuck += [f"node '{name}': {text}" for name, text in steps.held(Hold.TAKEN).items()]
    stuck += unconfigured(works, amended)
    if stuck:
        raise InvalidDesignError(list(dict.fromkeys(stuck)))
    return steps
