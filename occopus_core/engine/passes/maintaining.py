"""A maintenance pass: applies requests, observes the instances, and repairs what differs from the description."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from occopus_core.descriptions.graph import Graph
from occopus_core.engine.differences.dependencies import dependencies
from occopus_core.engine.differences.reconfiguring import amend
from occopus_core.engine.differences.replacing_outdated import with_outdated_due
from occopus_core.engine.instance.applicable import Applicable
from occopus_core.engine.instance.deletion import GOES_ON, OVERDUE
from occopus_core.engine.instance.execution import DELETION_SECONDS, Orders
from occopus_core.engine.instance.failure_detection import notes_of
from occopus_core.engine.instance.lifecycle import LONGEST_DELETION
from occopus_core.engine.instance.output import with_output
from occopus_core.engine.instance.reservation import new_works
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.unanswered import Unanswered, summarise
from occopus_core.engine.instance.work import Work, condemn
from occopus_core.engine.kernel.loop import Outcome, Steps
from occopus_core.engine.passes.belated import cleaning_up
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.designing import park_if_cut_off
from occopus_core.engine.passes.destroying import destroy_leased
from occopus_core.engine.passes.errors import BusyError, Passed
from occopus_core.engine.passes.forgetting import forget_left
from occopus_core.engine.passes.healing import is_new_failure, left_over, rationed, why_healed
from occopus_core.engine.passes.life_time import attend, is_due
from occopus_core.engine.passes.marking_outdated import mark_outdated
from occopus_core.engine.passes.requested_builds import apply_scaling, carry_out_requests, finish_rollback
from occopus_core.engine.passes.survey import (
    Decided,
    Look,
    decide_pass,
    known_of,
    look,
    situation_of,
    survey,
    tick_patience,
)
from occopus_core.engine.passes.waiting_for_lease import acquire_soon
from occopus_core.engine.planning.backoff import failed_to_start, next_setback
from occopus_core.engine.planning.plan import Hold, Plan, Step, Verb
from occopus_core.events import EventKind
from occopus_core.store.records import Condition, InfrastructureRecord, InstanceRecord, Lease, ScaleKind, Stage


@cleaning_up
def maintain(context: PassContext) -> Steps[Passed]:
    """Run one pass. It continues an interrupted build, or the destruction of an infrastructure.

    It observes first: if there is nothing to do, it takes no lease and writes nothing. Otherwise it decides again
    under a lease. A parked infrastructure is left alone, unless it is to be destroyed; but a rollback is finished.

    Raises `BusyError` while another process works on the infrastructure, `NoSuchInfrastructureError`, and the errors of
    a build or a destruction that it continues. A node that cannot be made or observed is an event, not an error: it is
    in the result, and the next pass tries again.
    """
    record = context.resources.store.infrastructure(context.infra_id)
    if record.parked and not record.rolling_back and not is_due(record, context.resources.loop.clock.now()):
        context.revision = record.revision
        return Passed((record.parked,))
    if context.is_awaited(record):
        raise BusyError(f"a build waits for the infrastructure '{record.id}'")
    looked = yield from look(context, record)
    if looked is not None and looked.quiet:
        context.revision = looked.revision
        context.known = known_of(looked, context.resources)
        context.rest()
        return Passed()
    lease = yield from acquire_soon(context)
    with context.releasing(lease):
        record = attend(context, lease, context.resources.store.infrastructure(context.infra_id))
        if not record.wanted:
            yield from destroy_leased(context, lease, record)
            return Passed()
        rollback = yield from finish_rollback(context, lease, record)
        record = context.resources.store.infrastructure(context.infra_id)
        if record.parked:
            return Passed((*rollback.undone, record.parked), rollback.unconfirmed)
        unbuilt = yield from carry_out_requests(context, lease, record)
        record = context.resources.store.infrastructure(context.infra_id)
        passed = yield from _Pass(context, lease, record, looked).run()
    context.tidy()
    return dataclasses.replace(passed, undone=(*rollback.undone, *unbuilt, *passed.undone))


_Running: TypeAlias = tuple[str, str | None, tuple[str, ...]]
"""A running instance: its id, its address, and the nodes whose addresses it lacks."""


class _Pass:
    def __init__(self, context: PassContext, lease: Lease, record: InfrastructureRecord, looked: Look | None) -> None:
        self._site = context
        self._looked = looked
        self._lease = lease
        self._record = record
        self._runtime: Runtime = context.runtime(context.scope(record.current))
        self._execution = context.execution(self._runtime, {}, record, context.recorded_works())
        self._targets = dict(record.targets)
        self._unanswered: list[Unanswered] = []
        self._undone: list[str] = []
        self._graph: Graph | None = None
        """The dependencies of the nodes, from the last design."""
        self._ran: frozenset[_Running] = frozenset()
        """The running instances at the start of the tick."""
        self._plan = Plan(())
        """The plan of the last tick."""
        self._rationed: frozenset[str] | None = None
        """The node ids of the instances that have waited for the budget since the first tick of a single pass."""
        self._heals_on = False
        """True if a single pass has another tick for them."""

    @property
    def _works(self) -> list[Work]:
        return self._execution.works

    def run(self) -> Steps[Passed]:
        """Tick until no work is under way. The first tick decides on everything, later ones on changes since.

        No tick waits for work under way. Without an interval there is one tick, and others:

        - as long as instances wait for the budget, and each tick replaces some of those that waited from the start;
        - if instances came or went in the last one, because other instances may have to be reconfigured, or replaced
          as they are outdated now.
        """
        execution = self._execution
        yield from self._turn()
        while not self._cut_off and (not self._is_mended() or self._heals_on or self._is_to_follow()):
            yield from self._turn()
        if self._cut_off:
            # Their rows keep the definition that was cut off: a later pass makes instances from the new one.
            unfinished = [work for work in self._works if work.stage is not Stage.READY and not work.dropping]
            execution.mend(Orders(Graph((), ()), drops=unfinished))
            yield from execution.run(lambda: execution.mended(DELETION_SECONDS))
        execution.halt()
        overdue = self._tell_overdue()
        for work in overdue:
            self._unanswer(work, OVERDUE)
        for work in execution.dropping.under_way:
            if work not in overdue:
                self._unanswer(work, f"{work.waiting_for}; {GOES_ON}" if work.waiting_for else GOES_ON)
        self._undone += [*execution.problems, *execution.unconfigured]
        if self._site.interval is None:
            now = self._runtime.clock.now()
            self._undone += left_over(self._plan, self._targets, self._site.infra_id, now)
        self._count_setbacks(execution.take_failed_starts())
        self._runtime.journal.flush()
        yield from forget_left(self._site, self._runtime)
        self._site.refuse_if_abandoned()
        parked = park_if_cut_off(self._site, self._lease, self._runtime.scope)
        self._undone += [parked] if parked else []
        return Passed(tuple(self._undone), (*summarise(self._unanswered), *execution.dropping.unconfirmed))

    @property
    def _cut_off(self) -> str:
        """Why rendering was cut off in this pass; empty if it was not. The pass then starts nothing more."""
        return self._runtime.scope.allowance.cut_off

    def _is_mended(self) -> bool:
        if self._site.interval is not None:
            return self._execution.mended(math.inf)  # ticks go on, so a long deletion can be waited for
        return self._execution.mended(0.0 if self._heals_on else DELETION_SECONDS)

    def _is_to_follow(self) -> bool:
        following = self._runtime.scope.infrastructure.replaced_when_outdated
        follows = any(
            work.configuration is not None or (work.record.outdated and work.node_name in following)
            for work in self._works
            if work.stage is Stage.READY
        )
        return follows and self._running() != self._ran and not self._execution.interrupted

    def _running(self) -> frozenset[_Running]:
        works = (work for work in self._works if work.stage is Stage.READY and not work.dropping)
        return frozenset((work.node_id, work.record.address, work.record.outdated) for work in works)

    def _is_tick_over(self) -> bool:
        return bool(self._cut_off) or self._is_mended() or self._site.is_tick_due

    def _turn(self) -> Steps[None]:
        """One tick, and the work until the next one is due."""
        yield from self._tick()
        yield from self._execution.run(self._is_tick_over)
        if not self._cut_off:
            yield from mark_outdated(self._site, self._runtime, self._works, self._graph)

    def _tick(self) -> Steps[None]:
        """Observe, decide, and start the work that is due."""
        record = self._site.begin_tick()
        noted = {name: getattr(record, name) for name in ("frozen", "setbacks", "undefined")}
        self._record = dataclasses.replace(self._record, **noted)
        self._undone, self._unanswered = [], []
        self._ran = self._running()
        self._count_setbacks(self._execution.take_failed_starts())
        self._tell_overdue()
        self._apply_requests()
        commit_due, is_under_way = self._runtime.journal.commit_due, self._execution.is_under_way
        scope, notes = self._runtime.scope, notes_of(self._runtime)
        looked, now = self._looked, self._runtime.clock.monotonic()
        pause = self._site.pause() if looked is None else looked.pause
        answered = looked.survey if looked is not None and looked.serves(self._works, now) else None
        self._looked = None
        works = self._works
        described = Applicable(scope)  # nothing is provisional here
        found = yield from survey(
            self._site, described, works, commit_due, notes, pause, answered, is_under_way, tick_patience(self._site)
        )
        self._tell_unanswered("a provider", found.seen)
        ready = [work for work in works if work.stage is Stage.READY]
        self._note_unanswered(ready, found.seen)
        self._tell_unanswered("a health checker", found.examined)
        self._note_unanswered(ready, found.examined)
        situation = situation_of(self._site, self._record, self._works, self._targets, found)
        loop, retries = self._site.resources.loop, self._site.retries
        situation = yield from with_outdated_due(loop, scope, self._works, situation)
        amended = yield from amend(loop, scope, self._works, situation, commit_due, retries, is_under_way=is_under_way)
        decided = yield from decide_pass(self._site, scope, self._works, amended.situation, commit_due)
        self._tell_managers(found.managed, amended.problems, decided.waiting)
        self._tell_plan(decided)
        self._plan, waiting = decided.plan, rationed(decided.plan)
        if self._site.interval is None:
            before, self._rationed = self._rationed, waiting if self._rationed is None else waiting & self._rationed
            self._heals_on = bool(self._rationed) and self._rationed != before
        yield from self._carry_out(decided)

    # Scaling

    def _apply_requests(self) -> None:
        requests = self._site.resources.store.pending_requests(self._site.infra_id)
        if any(request.kind is ScaleKind.REPLACE for request in requests):
            self._site.make_way()
        records = [work.record for work in self._works]
        scaled = apply_scaling(self._site, self._lease, self._record, self._targets, records)
        self._targets = scaled.targets
        condemn(self._works, scaled.condemned)

    # Reporting

    def _tell_unanswered(self, who: str, outcomes: Mapping[str, Outcome[Any]]) -> None:
        """Report each reason when it is new; several plugins may fail at once."""
        reported = self._site.reported
        texts = {f"for {who}: {outcome.error}" for outcome in outcomes.values() if outcome.error is not None}
        for over in [text for text in reported if text.startswith(f"for {who}: ") and text not in texts]:
            del reported[over]
        for text in sorted(texts):
            self._tell_once(text, EventKind.WAITING, text)

    def _note_unanswered(self, works: Iterable[Work], outcomes: Mapping[str, Outcome[Any]]) -> None:
        errors = {node_id: outcome.error for node_id, outcome in outcomes.items() if outcome.error is not None}
        for work in works:
            if work.node_id in errors:
                self._unanswer(work, errors[work.node_id])

    def _tell_managers(
        self, managed: Mapping[str, Outcome[Any]], unrendered: Mapping[str, str], waiting: Collection[str]
    ) -> None:
        """Report managers that do not answer, and configurations that cannot be rendered.

        A fault for which its node is among those `waiting` is reported with the plan.
        """
        works = [work for work in self._works if work.node_name not in waiting]
        outcomes = {work.node_id: managed[work.node_id] for work in works if work.node_id in managed}
        self._tell_unanswered("a configuration manager", outcomes)
        for work in works:
            error = outcomes[work.node_id].error if work.node_id in outcomes else None
            why = unrendered.get(work.node_id, "")
            if error is not None and work.configuration is not None:
                self._unanswered.append(Unanswered(work.node_name, work.configuration.label, error))
            if why and (error is None or str(error) != why):
                text = f"node '{work.node_name}': its configuration cannot be rendered: {why}"
                self._undone += [text] if text not in self._undone else []

    def _unanswer(self, work: Work, why: Exception | str) -> None:
        self._unanswered.append(Unanswered(work.node_name, work.implementation.label, why))

    def _tell_plan(self, decided: Decided) -> None:
        plan, taken = decided.plan, decided.plan.held(Hold.TAKEN)
        stopped = plan.held(Hold.BACK_OFF)
        held = {**stopped, **{name: f"node '{name}': {why}" for name, why in taken.items()}}
        left = {name: why for name, why in held.items() if name not in stopped or self._site.interval is not None}
        self._undone += [text for text in (plan.frozen, *left.values()) if text]
        if bool(plan.frozen) != bool(self._record.frozen):
            with self._site.resources.store.changing(self._lease) as change:
                change.put_frozen(plan.frozen)
                kind = EventKind.FROZEN if plan.frozen else EventKind.UNFROZEN
                self._runtime.tell_with(change, kind, plan.frozen or "most instances are healthy again")
        self._put_undefined({**plan.held(Hold.DEFINITION), **taken})
        for name in self._targets:
            self._tell_once(f"held {name}", EventKind.HELD, held.get(name, ""), key=name in held)
        self._undone += [f"waiting {decided.problem}"] if decided.problem else []
        if decided.problem or decided.design is not None:
            self._tell_once("design", EventKind.WAITING, decided.problem)

    def _put_undefined(self, reasons: Mapping[str, str]) -> None:
        redact = self._site.resources.connections.redact
        reasons = {name: redact(why) for name, why in reasons.items()}
        if reasons != self._record.undefined:
            with self._site.resources.store.changing(self._lease) as change:
                change.put_undefined(reasons)

    def _tell_overdue(self) -> list[Work]:
        """Report overdue deletions: they may still cost money. Returns the instances."""
        since = self._runtime.clock.now() - LONGEST_DELETION
        overdue = [work for work in self._works if work.stage is Stage.DROPPING and work.record.since < since]
        for work in overdue:
            self._tell_once(f"overdue {work.node_id}", EventKind.NODE_UNCONFIRMED, OVERDUE, of=work)
        return overdue

    def _tell_once(self, about: str, kind: EventKind, text: str, key: object = None, of: Work | None = None) -> None:
        """Report an event when it changes, not at every pass; an empty text clears it."""
        known = text if key is None else key
        if self._site.reported.get(about, "" if key is None else False) != known:
            self._site.reported[about] = known
            if text:
                self._runtime.tell(kind, text, *((of.node_name, of.node_id) if of else ()))

    # Carrying out the plan

    def _carry_out(self, decided: Decided) -> Steps[None]:
        plan, design = decided.plan, decided.design
        dropping = {work.node_id for work in self._works if work.dropping}
        replaced = plan.of(Verb.REPLACE)
        going = [step for step in (*plan.of(Verb.DESTROY), *replaced) if step.node_id not in dropping]
        self._heal([*replaced, *filter(self._is_replaced, going)])
        failed = [work.record for step, work in self._with_works(replaced) if not step.excused]
        setbacks = self._record.setbacks
        self._count_setbacks(one for one in failed if is_new_failure(one, setbacks.get(one.node_name)))
        drops = self._doom(going)
        if design is None:
            graph = Graph((), ())
            if drops:
                graph = yield from dependencies(self._site.resources.loop, self._runtime.scope, self._works)
            self._execution.mend(Orders(graph, drops=drops))
            return
        self._graph = design.graph
        fresh = new_works(self._runtime, design.blueprints, plan, self._works, provisional=False)
        renewed = {step.node_id for step in plan.of(Verb.RECONFIGURE)}
        renewals = [work for work in self._works if work.node_id in renewed]
        creations = [*self._unfinished(plan), *fresh]
        self._execution.mend(Orders(design.graph, design.blueprints, creations, renewals, drops))

    def _unfinished(self, plan: Plan) -> list[Work]:
        """Instances whose creation another process has started."""
        kept = {step.node_id for step in plan.of(Verb.KEEP)}
        idle = [work for work in self._works if not self._execution.is_under_way(work)]
        return [work for work in idle if work.node_id in kept and work.stage is not Stage.READY]

    def _with_works(self, steps: Iterable[Step]) -> list[tuple[Step, Work]]:
        works = {work.node_id: work for work in self._works}
        return [(step, works[step.node_id]) for step in steps if step.node_id in works]

    def _is_replaced(self, step: Step) -> bool:
        """Whether a pass that was killed has begun to replace the failed instance, and has not reported that.

        A replacement has the position of the instance that it replaces; one of a scaling has a position of its own.
        """
        if step.verb is not Verb.DESTROY:
            return False
        for _, work in self._with_works([step]):
            since = work.record.unhealthy_since
            failed = work.record.condition is Condition.FAILED and work.stage is Stage.READY
            if not failed or since is None or work.record.condemned:
                return False
            place = (work.node_name, work.record.position)
            others = [one.record for one in self._works if one is not work]
            return any((one.node_name, one.position) == place and one.created_at >= since for one in others)
        return False

    def _heal(self, replaced: Iterable[Step]) -> None:
        for step, work in self._with_works(replaced):
            text = why_healed(step, work.record, self._runtime.clock.now())
            self._execution.lost(work, functools.partial(self._tell_healing, step, text))

    def _tell_healing(self, step: Step, why: str, output: str) -> None:
        text = with_output(why, output)
        self._runtime.tell(EventKind.HEALING, text, node_name=step.node_name, node_id=step.node_id)

    def _doom(self, going: Sequence[Step]) -> list[Work]:
        """The instances that the plan deletes."""
        node_ids = {step.node_id for step in going}
        works = [work for work in self._works if work.node_id in node_ids]
        for work in works:
            work.dropping = True
            work.drop_reported = work.stage is Stage.DROPPING and work.node_id in self._site.dropping
        self._site.dropping = {work.node_id for work in self._works if work.dropping}
        return works

    def _count_setbacks(self, failed: Iterable[InstanceRecord]) -> None:
        now = self._runtime.clock.now()
        began: dict[str, float] = {}
        for record in failed:
            moment = record.created_at if failed_to_start(record) else now
            began[record.node_name] = min(moment, began.get(record.node_name, now))
        setbacks = dict(self._record.setbacks)
        for name, moment in began.items():
            setbacks[name] = next_setback(setbacks.get(name), now, moment)
        if setbacks != dict(self._record.setbacks):
            self._record = dataclasses.replace(self._record, setbacks=setbacks)
            with self._site.resources.store.changing(self._lease) as change:
                change.put_setbacks(setbacks)
