"""Observes the instances of an infrastructure, and derives the situation for the planner."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from occopus_core.api.health import Probe, Verdict
from occopus_core.api.resource import Instance, ResourceHandler
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.differences.dependencies import dependencies
from occopus_core.engine.differences.former_first import with_former_first
from occopus_core.engine.differences.reconfiguring import Managed, ask_managers
from occopus_core.engine.differences.rendered_requests import RenderedRequests
from occopus_core.engine.differences.replacing_outdated import with_outdated_due
from occopus_core.engine.differences.withdrawn_addresses import with_withdrawn_addresses
from occopus_core.engine.instance.applicable import Applicable
from occopus_core.engine.instance.checks import CheckTarget
from occopus_core.engine.instance.failure_detection import Diagnosis, Notes
from occopus_core.engine.instance.observe import TICK_PATIENCE, Observed
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Outcome, Steps
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.engine.passes.connecting import connect
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.designing import partial_design_in_pool
from occopus_core.engine.passes.life_time import is_due
from occopus_core.engine.passes.quiet_infrastructures import Expected, Known, is_as
from occopus_core.engine.passes.resources import Resources
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.dependees import closure
from occopus_core.engine.planning.design import Design, InvalidDesignError
from occopus_core.engine.planning.outage import Ailment
from occopus_core.engine.planning.plan import Hold, Plan, Verb
from occopus_core.engine.planning.preparation import Scope
from occopus_core.store.records import InfrastructureRecord, InstanceRecord, Stage


@dataclass(frozen=True, slots=True)
class Survey:
    """The answers of providers and health checks, by node id, and the problems found."""

    seen: Mapping[str, Outcome[Instance]]
    examined: Mapping[str, Outcome[Verdict]]
    ailments: Mapping[str, Ailment]
    managed: Managed
    dependees: Mapping[str, Sequence[str]]
    """By node name: all nodes it depends on, directly or indirectly; empty if all instances are well."""
    targets: Sequence[CheckTarget] = ()
    """The targets of the health checks."""
    hidden: Collection[str] = ()
    """The node ids of instances that their provider may not show yet."""


def survey(
    context: PassContext,
    applicable: Applicable,
    works: Sequence[Work],
    commit_due: Callable[[], None],
    notes: Notes,
    pause: float = 0.0,
    answered: Survey | None = None,
    is_under_way: Callable[[Work], bool] = lambda _work: False,
    patience: float | None = None,
) -> Steps[Survey]:
    """Ask the provider of each instance, and the health checks of those that are ready.

    Each is judged by the description that applies to it. `notes` receives changed rows and events; `pause` is in
    seconds since the last survey. Answers in `answered`, given a moment ago for the same rows, are used instead of new
    calls. Instances in `is_under_way` are left to the code that creates or drops them; an instance being reconfigured
    is observed, but its manager is not asked. `patience` is as for `Observatory.observe`.
    """
    connect(context.resources.connections, works)
    present = [
        work
        for work in works
        if work.stage is not Stage.DROPPING
        and not work.dropping
        and (work.stage is Stage.READY or not is_under_way(work))
    ]
    if answered is None:
        observed = yield from context.resources.observatory.observe(present, commit_due, patience)
    else:
        observed = Observed(answered.seen, answered.hidden)
    diagnosis = Diagnosis(applicable, context.resources.loop.clock, works, observed, pause, notes)
    targets = yield from diagnosis.targets(context.resources.loop)
    if answered is None:
        examined = yield from context.resources.checks.examine(targets, commit_due)
    else:
        examined = answered.examined
    dependees: dict[str, Sequence[str]] = {}
    needed: dict[str, Sequence[str]] = {}
    if diagnosis.is_any_ill(examined):
        for scope, judged in applicable.groups(works):
            found = closure((yield from dependencies(context.resources.loop, scope, judged)))
            needed.update({work.node_id: found.get(work.node_name, ()) for work in judged})
            dependees = {**found, **dependees}
    ailments = diagnosis.ailments(examined, needed)
    asked = [work for work in works if not is_under_way(work)]
    managed = yield from ask_managers(context.resources.loop, applicable.in_force, asked, commit_due, notes)
    return Survey(observed.seen, examined, ailments, managed, dependees, targets, observed.hidden)


def tick_patience(context: PassContext) -> float | None:
    """For how many seconds a tick waits for providers; None for a single pass, which waits for all of them."""
    return None if context.interval is None else TICK_PATIENCE


FRESH_SECONDS = 5.0
"""Seconds for which answers may be used again."""


@dataclass(frozen=True, slots=True)
class Look:
    """The result of an observation without a lease. `quiet` if there is nothing to do and nothing to record."""

    quiet: bool
    revision: int
    """The revision of the infrastructure before its rows were read."""
    due_at: float | None
    """When something has to be done about its life time (seconds since 1970)."""
    survey: Survey
    works: Sequence[Work]
    records: Sequence[InstanceRecord]
    """The rows from the store."""
    at: float
    """The time of the observation (monotonic)."""
    pause: float

    def serves(self, works: Sequence[Work], now: float) -> bool:
        """True if the answers are valid for these rows, too: they have not changed."""
        return now - self.at <= FRESH_SECONDS and list(self.records) == [work.record for work in works]


def look(context: PassContext, record: InfrastructureRecord) -> Steps[Look | None]:
    """Observe an infrastructure without a lease and without writing. None if it needs a lease in any case.

    Raises `StoreError`.
    """
    store = context.resources.store
    due = is_due(record, context.resources.loop.clock.now())
    under_way = record.candidate is not None or record.rolling_back
    if due or not record.wanted or under_way or store.lease_end(context.infra_id) is not None:
        return None
    if store.pending_requests(context.infra_id):
        return None
    works = context.recorded_works()
    records = [work.record for work in works]
    if any(one.stage is not Stage.READY or one.provisional or one.condemned for one in records):
        return None
    if any(work.configuration is not None or work.implementation.config_management is not None for work in works):
        return None  # calls to configuration managers depend on rows that a pass may write
    if any(one.forget_since is not None for one in store.configurations.of(context.infra_id)):
        return None
    pause, changes = context.pause(), Changes()
    scope, patience = context.scope(record.current), tick_patience(context)
    found = yield from survey(
        context, context.applicable(record), works, _nothing, changes.notes, pause, patience=patience
    )
    answers: list[Outcome[Instance] | Outcome[Verdict]] = [*found.seen.values(), *found.examined.values()]
    situation = situation_of(context, record, works, record.targets, found)
    plan = decide((yield from with_outdated_due(context.resources.loop, scope, works, situation)))
    quiet = (
        not changes.some
        and not (plan.frozen or record.frozen or record.undefined)
        and all(step.verb is Verb.KEEP for step in plan.steps)
        and all(answer.error is None for answer in answers)
        and all(work.link is None or work.node_id in found.seen or work.record.instance_id is None for work in works)
    )
    return Look(
        quiet, record.revision, record.due_at, found, works, records, context.resources.loop.clock.monotonic(), pause
    )


def known_of(looked: Look, resources: Resources) -> Known | None:
    """The data that later ticks need. None if the infrastructure is not quiet, or may not stay so without a change.

    An instance so young that its provider may hide it changes its state without a new answer.
    """
    if not looked.quiet:
        return None
    instances: dict[OpenConnection[ResourceHandler], list[Expected]] = {}
    for work in looked.works:
        id, seen = work.record.instance_id, looked.survey.seen.get(work.node_id)
        if id is None or work.link is None or seen is None or not is_as((id, work.record.addresses), seen.value):
            return None
        instances.setdefault(work.link, []).append((id, work.record.addresses))
    probes: dict[str, list[Probe]] = {}
    try:
        for target in looked.survey.targets:
            for key in target.checks:
                probes.setdefault(key, []).append(resources.checks.probe(target, key))
    except DescriptionError:  # the credentials file has just changed
        return None
    return Known(looked.revision, resources.connections.renewals, instances, probes, looked.due_at)


class Changes:
    """Records whether a diagnosis has changes to store."""

    def __init__(self) -> None:
        self.some = False
        self.notes = Notes(self._note, self._note)

    def _note(self, *_: object) -> None:
        self.some = True


def _nothing() -> None:
    return


def situation_of(
    context: PassContext, record: InfrastructureRecord, works: Sequence[Work], targets: Mapping[str, int], found: Survey
) -> Situation:
    """The situation that the next pass has to decide about."""
    return Situation(
        targets=targets,
        records=[replace(work.record, condemned=True) if work.dropping else work.record for work in works],
        now=context.resources.loop.clock.now(),
        ailments=found.ailments,
        setbacks=record.setbacks,
        dependees=found.dependees,
        places={work.node_id: _place(work) for work in works},
    )


@dataclass(frozen=True, slots=True)
class Decided:
    """A plan, its blueprints, and what keeps nodes without usable definitions waiting.

    Without a design, the plan needs none, or there is none.
    """

    plan: Plan
    design: Design | None = None
    problem: str = ""
    waiting: Collection[str] = ()
    """The names of the nodes that the problem is about."""


def decide_pass(
    context: PassContext,
    scope: Scope,
    works: Sequence[Work],
    situation: Situation,
    commit_due: Callable[[], None] | None = None,
) -> Steps[Decided]:
    """The plan of a maintenance pass; nodes without a usable definition wait, and those that need instances of them."""
    decided = yield from _decide(context, scope, works, situation, commit_due or _nothing)
    if decided.design is None:
        return decided
    loop, blueprints = context.resources.loop, decided.design.blueprints
    plan = yield from with_former_first(loop, scope, Applicable(scope), works, decided.plan, blueprints, commit_due)
    return dataclasses.replace(decided, plan=plan)


def _decide(
    context: PassContext, scope: Scope, works: Sequence[Work], situation: Situation, commit_due: Callable[[], None]
) -> Steps[Decided]:
    plan = decide(situation)
    if not plan.of(Verb.CREATE, Verb.REPLACE, Verb.RECONFIGURE) and not _unfinished(situation, plan):
        return Decided(plan)
    try:
        design = yield from partial_design_in_pool(context, scope, commit_due)
    except InvalidDesignError as error:
        problem = f"{_FOR_A_DEFINITION}{error}"
        undefined = dict.fromkeys(situation.targets, f"waiting {problem}")
        return Decided(decide(dataclasses.replace(situation, undefined=undefined)), None, problem, undefined)
    loop = context.resources.loop
    situation = yield from with_withdrawn_addresses(
        loop, scope, design.graph, works, situation, RenderedRequests(), commit_due
    )
    if not design.faulty:
        return Decided(decide(situation), design)
    waits = waiting_for_definitions(situation, design)
    if any(step.node_name in waits for step in plan.of(Verb.CREATE, Verb.REPLACE)):
        # Settings that differ may do so by the addresses of instances that are not made now.
        situation = dataclasses.replace(situation, changed={}, unfit={})
    plan = decide(dataclasses.replace(situation, undefined=waits))
    waiting = [name for name in plan.held(Hold.DEFINITION) if name in design.faulty]
    faults = dict.fromkeys(fault for name in waiting for fault in design.faulty[name])
    return Decided(plan, design, f"{_FOR_A_DEFINITION}{'; '.join(faults)}" if faults else "", waiting)


_FOR_A_DEFINITION = "for a usable definition: "


def waiting_for_definitions(situation: Situation, design: Design) -> Mapping[str, str]:
    """By name of a node without a usable definition: why it waits.

    A node waits, too, if it needs one that waits and has no ready instance.
    """
    running = {record.node_name for record in situation.records if record.stage is Stage.READY}
    found: dict[str, str] = {}
    for name in design.graph.order:
        absent = [each for each in design.graph.dependees(name) if each in found and each not in running]
        if name in design.faulty:
            found[name] = f"waiting {_FOR_A_DEFINITION}{'; '.join(design.faulty[name])}"
        elif any(situation.targets.get(each) for each in absent):
            found[name] = f"waiting for instances of {' and '.join(absent)}"
    return found


def _unfinished(situation: Situation, plan: Plan) -> bool:
    staying = plan.staying
    return any(record.stage is not Stage.READY and record.node_id in staying for record in situation.records)


def _place(work: Work) -> str:
    """A name that instances on one connection share: the label, and the settings that it does not have."""
    label, words = work.implementation.label, work.implementation.label.split()
    settings = json.loads(work.record.connection or "{}").items()
    others = [f"{key}: {value}" for key, value in settings if key != "endpoint" or value not in words]
    return f"{label} ({', '.join(others)})" if others else label
