"""A build: creates the infrastructure as described, or changes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence

from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.descriptions.text import same_description
from occopus_core.engine.differences.dependencies import dependencies
from occopus_core.engine.differences.outdated import with_outdated
from occopus_core.engine.instance.failure_detection import notes_of, with_new_checks
from occopus_core.engine.instance.reservation import new_works
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.belated import cleaning_up
from occopus_core.engine.passes.build_plan import BuildPlan, adopted, plan_build
from occopus_core.engine.passes.comparing import with_changes
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.designing import design_in_pool
from occopus_core.engine.passes.destroying import places
from occopus_core.engine.passes.errors import BusyError, UnconfiguredError, UnconfirmedError
from occopus_core.engine.passes.forgetting import forget_left
from occopus_core.engine.passes.life_time import first_life_time, move_end, refuse_past_end
from occopus_core.engine.passes.marking_outdated import mark_outdated
from occopus_core.engine.passes.undoing import say_what_lacks, undo
from occopus_core.engine.passes.waiting_for_lease import acquire_for_build
from occopus_core.engine.planning.design import Design, Overlay, first_plan, refuse_undefined
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
    steps = (yield from plan_build(context, design, record, works, replacing)).steps
    steps = with_changes(context, steps, record, design, works, own or {}, end)
    loop, implementation = context.resources.loop, functools.partial(adopted, design)
    return (yield from with_outdated(loop, scope, design.graph, works, steps, implementation))


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
    runtime, works = context.runtime(design.scope), context.recorded_works()
    pending = context.resources.store.pending_requests(context.infra_id)
    replacing = Replacing.of(pending, record, replaced, alone=alone)
    commit_due = runtime.journal.commit_due
    plan = yield from plan_build(context, design, record, works, replacing, commit_due, notes_of(runtime))
    planned()
    if own is None:
        own = record.candidate_definitions
    else:
        _begin(context.resources.store, lease, record, plan.candidate, own)
    yield from _Build(context, runtime, lease, plan, end, own).run()


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


class _Build:
    """A build under way, whose plan is made. Its methods stand in the order in which it happens."""

    def __init__(
        self,
        context: PassContext,
        runtime: Runtime,
        lease: Lease,
        plan: BuildPlan,
        end: float | None,
        own: Mapping[str, NodeDefinition],
    ) -> None:
        """`end` is that of `build`. `own` are the node definitions that the build has brought."""
        self._context = context
        self._runtime = runtime
        self._lease = lease
        self._plan = plan
        self._end = end
        self._own = own
        going = plan.going
        for work in plan.works:
            work.dropping = work.node_id in going
        self._fresh = new_works(runtime, plan.design.blueprints, plan.steps, plan.works)
        works = [*plan.works, *self._fresh]
        self._execution = context.execution(runtime, plan.design.blueprints, plan.record, works)

    def run(self) -> Steps[None]:
        """Create what is new; when all of it is ready, record the success; then reconfigure and delete."""
        context, plan = self._context, self._plan
        if not (yield from self._create()):
            context.refuse_if_abandoned()
            say_what_lacks(self._execution, plan.record)
            graph = plan.design.graph
            yield from undo(context, self._execution, self._runtime, self._lease, plan.record, graph, plan.replacing)
        self._runtime.journal.flush()
        self._adopt_definitions()
        self._forget_failures()
        self._runtime.journal.commit_with(self._finish)
        yield from self._reconfigure()
        yield from self._delete()
        yield from forget_left(context, self._runtime)
        if self._execution.dropping.unconfirmed:
            raise UnconfirmedError(self._execution.dropping.unconfirmed)
        if self._execution.unconfigured:
            raise UnconfiguredError(self._execution.unconfigured)

    # Until it has succeeded

    def _create(self) -> Steps[bool]:
        """Create the new instances, complete the unfinished ones, and prove those that stay by their new checks."""
        plan = self._plan
        # A killed process may have left instances there.
        self._execution.dropping.links.update(places(self._context).links)
        unfinished = [work for work in plan.built() if work.stage is not Stage.READY]
        # Rows of instances that a build has not made have their former definitions until it has succeeded.
        self._adopt([work for work in unfinished if work.record.provisional])
        proved = {step.node_id for step in plan.steps.steps if step.proved}
        kept = [work for work in plan.works if work.node_id in proved]
        for work in [*unfinished, *kept]:  # their new health checks decide whether they are ready
            work.implementation = adopted(plan.design, work)
        return (yield from self._execution.create([*unfinished, *self._fresh], plan.design.graph, kept))

    def _adopt(self, works: Sequence[Work]) -> None:
        """Apply the new definitions to these instances, which stay."""
        for work in works:
            if work.record.implementation not in self._plan.design.blueprints[work.node_name].fingerprints:
                work.implementation = adopted(self._plan.design, work)
                self._runtime.journal.keep(work.implementation)
                work.record = dataclasses.replace(work.record, implementation=work.implementation.digest)
                self._runtime.journal.put(work.record)

    # When all that is new is ready

    def _adopt_definitions(self) -> None:
        """Apply the new definitions to all instances that stay, except those that wait to be replaced."""
        waiting = self._plan.steps.of(Verb.WAIT)
        held = {step.node_id for step in waiting if step.hold is Hold.REPLACEMENT}
        self._adopt([work for work in self._plan.staying() if work.node_id not in held])

    def _forget_failures(self) -> None:
        """Forget the failures of instances by health checks that are no longer in force."""
        rechecked = {step.node_id for step in self._plan.steps.steps if step.rechecked}
        for work in self._plan.works:
            if work.node_id in rechecked:
                work.record = with_new_checks(work.record, self._runtime.clock.now())
                self._runtime.journal.put(work.record)

    def _finish(self, change: Change) -> None:
        """Record that the build has succeeded, with the definitions that it has brought, and what goes now."""
        plan, record, candidate = self._plan, self._plan.record, self._plan.candidate
        if plan.replacing.alone:
            change.keep_instances()
        else:
            if self._own:
                change.put_definitions(self._own.values())
            change.finish_build(candidate, targets_of(candidate, record.targets))
            moved = move_end(change, record, candidate, self._runtime.clock.now(), self._end)
            if moved:
                self._runtime.tell_with(change, EventKind.LIFE_TIME_CHANGED, moved)
        if record.parked or (record.frozen and not plan.steps.left):  # the build replaces the failed instances
            change.put_frozen("")
            self._runtime.tell_with(change, EventKind.UNFROZEN, _thawed(record))
        rechecked = {step.node_name for step in plan.steps.steps if step.rechecked}
        if rechecked & record.setbacks.keys():
            change.put_setbacks({name: one for name, one in record.setbacks.items() if name not in rechecked})
        change.condemn(plan.going)  # if this process dies now, the next pass removes them
        records = [work.record for work in plan.works]
        self._context.answer(change, plan.replacing.answers(records, plan.steps, plan.design.blueprints))
        if record.description is None:
            self._runtime.tell_with(change, EventKind.INFRA_READY)
        elif not same_description(record.description, candidate) or not plan.steps.empty:
            self._runtime.tell_with(change, EventKind.INFRA_UPDATED)
        elif record.candidate is not None:  # it was requested: the log says what came of that
            self._runtime.tell_with(change, EventKind.INFRA_UPDATED, "nothing had to be changed")

    # When the new description is in force

    def _reconfigure(self) -> Steps[None]:
        """Reconfigure instances that stay, before their former dependees are deleted."""
        plan, graph = self._plan, self._plan.design.graph
        renewed = {step.node_id for step in plan.steps.of(Verb.RECONFIGURE)}
        followers = [work for work in plan.works if work.node_name in plan.steps.left and work.node_id in renewed]
        yield from self._execution.reconfigure([*plan.built(), *followers], graph, renewed)
        self._context.refuse_if_abandoned()
        yield from mark_outdated(self._context, self._runtime, self._execution.works, graph)
        self._runtime.journal.flush()

    def _delete(self) -> Steps[None]:
        """Delete the instances that go, in the order of the description of before."""
        context, plan = self._context, self._plan
        before = plan.design.graph
        if plan.record.description is not None:
            described = context.scope(plan.record.description)
            before = yield from dependencies(context.resources.loop, described, plan.works)
        replaced = {step.node_id for step in plan.steps.of(Verb.REPLACE)}
        going = (work for work in self._execution.works if work.dropping)
        mine = [work for work in going if work.node_name not in plan.steps.left or work.node_id in replaced]
        yield from self._execution.drop(mine, before)
        context.refuse_if_abandoned()


def _thawed(record: InfrastructureRecord) -> str:
    return "it was built again" if record.parked else "a build has replaced the failed instances"
