"""How the instances of an infrastructure are, and what the next pass makes of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from occopus_core.api.health import Verdict
from occopus_core.api.resource import Instance
from occopus_core.descriptions.graph import Graph
from occopus_core.engine.instance.diagnosis import Diagnosis, Notes
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Outcome, Steps
from occopus_core.engine.passes.dependencies import dependencies
from occopus_core.engine.passes.reconfiguring import Managed, ask_managers
from occopus_core.engine.passes.site import Site
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.design import Design, InvalidDesignError, make_design
from occopus_core.engine.planning.outage import Ailment
from occopus_core.engine.planning.plan import Plan, Verb
from occopus_core.engine.planning.preparation import Scope
from occopus_core.store.records import InfrastructureRecord, Stage


@dataclass(frozen=True, slots=True)
class Survey:
    """What providers and health checks answer of instances, by node id, and what is wrong with them."""

    seen: Mapping[str, Outcome[Instance]]
    examined: Mapping[str, Outcome[Verdict]]
    ailments: Mapping[str, Ailment]
    managed: Managed


def survey(
    site: Site, scope: Scope, works: Sequence[Work], commit_due: Callable[[], None], notes: Notes, pause: float = 0.0
) -> Steps[Survey]:
    """Ask the provider of each instance, and the health checks of those that are ready.

    `notes` receives changed rows and events; `pause` is in seconds since the last survey.
    """
    present = [work for work in works if work.stage is not Stage.DROPPING]
    seen = yield from site.resources.observatory.observe(present, commit_due)
    diagnosis = Diagnosis(scope, site.resources.loop.clock, works, seen, pause, notes)
    examined = yield from site.resources.checks.examine(diagnosis.targets(), commit_due)
    managed = yield from ask_managers(site.resources.loop, scope, works, commit_due, notes)
    return Survey(seen, examined, diagnosis.ailments(examined), managed)


def situation_of(
    site: Site, record: InfrastructureRecord, works: Sequence[Work], targets: Mapping[str, int], found: Survey
) -> Situation:
    """What the next pass has to decide about."""
    return Situation(
        targets=targets,
        records=[work.record for work in works],
        now=site.resources.loop.clock.now(),
        ailments=found.ailments,
        setbacks=record.setbacks,
        dependees=_closure(dependencies(site.scope(record.current), works)) if found.ailments else {},
        places={work.node_id: _place(work) for work in works},
    )


@dataclass(frozen=True, slots=True)
class Decided:
    """A plan, how what it makes is made, and why that cannot be known (empty where it can or need not)."""

    plan: Plan
    design: Design | None = None
    problem: str = ""


def decide_pass(site: Site, scope: Scope, situation: Situation) -> Decided:
    """The plan of a maintenance pass; what cannot be made because its definition is not usable waits."""
    plan = decide(situation)
    if not plan.of(Verb.CREATE, Verb.REPLACE, Verb.RECONFIGURE) and not _unfinished(situation, plan):
        return Decided(plan)
    try:
        return Decided(plan, make_design(scope, site.resources.store))
    except InvalidDesignError as error:
        problem = f"for a usable definition: {error}"
        return Decided(decide(dataclasses.replace(situation, undefined=f"waiting {problem}")), None, problem)


def _unfinished(situation: Situation, plan: Plan) -> bool:
    staying = plan.staying
    return any(record.stage is not Stage.READY and record.node_id in staying for record in situation.records)


def _place(work: Work) -> str:
    """Instances on one connection have the same."""
    return f"{work.implementation.label} {work.record.connection}".strip()


def _closure(graph: Graph) -> Mapping[str, Collection[str]]:
    """All nodes that each node needs, directly or not."""
    needed: dict[str, set[str]] = {}
    for name in graph.order:
        direct: Iterable[str] = graph.dependees(name)
        needed[name] = {*direct, *(other for one in direct for other in needed[one])}
    return needed
