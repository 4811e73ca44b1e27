"""The plan of a build: which instances it creates, replaces, reconfigures, checks again and deletes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from occopus_core.descriptions.model import Implementation, Infrastructure
from occopus_core.descriptions.text import same_description
from occopus_core.engine.differences.changed_checks import with_changed_checks
from occopus_core.engine.differences.former_first import with_former_first
from occopus_core.engine.differences.needs_of_followers import amend_with_needs, unconfigured
from occopus_core.engine.differences.reconfiguring import Amended
from occopus_core.engine.differences.replacing_outdated import amend_build
from occopus_core.engine.instance.failure_detection import Notes
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.survey import survey, waiting_for_definitions
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.design import Design, InvalidDesignError
from occopus_core.engine.planning.plan import Hold, Plan, Verb
from occopus_core.engine.planning.replacing import Replacing
from occopus_core.engine.planning.scaling import targets_of
from occopus_core.store.records import InfrastructureRecord


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The steps of a build, and what they were decided from."""

    design: Design
    record: InfrastructureRecord
    """The infrastructure before the build."""
    works: Sequence[Work]
    """The instances before the build."""
    replacing: Replacing
    steps: Plan

    @property
    def candidate(self) -> Infrastructure:
        """The description that is built."""
        return self.design.scope.infrastructure

    @property
    def going(self) -> set[str]:
        """The node ids of the instances that the build deletes."""
        return {step.node_id for step in self.steps.of(Verb.DESTROY, Verb.REPLACE)}

    def staying(self) -> Iterator[Work]:
        """The instances that stay and whose nodes can be made: a replacement leaves other nodes alone."""
        return (work for work in self.works if not work.dropping and work.node_name in self.design.blueprints)

    def built(self) -> list[Work]:
        """Those of them that are not left to maintenance."""
        return [work for work in self.staying() if work.node_name not in self.steps.left]


def plan_build(
    context: PassContext,
    design: Design,
    record: InfrastructureRecord,
    works: Sequence[Work],
    replacing: Replacing,
    commit_due: Callable[[], None] = lambda: None,
    notes: Notes = Notes(),  # noqa: B008  # it has no state
) -> Steps[BuildPlan]:
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
    loop, implementation = context.resources.loop, functools.partial(adopted, design)

    def amended_beside(situation: Situation) -> Steps[Amended]:
        for work in works:
            if work.node_name not in situation.left.nodes and work.node_id in found.seen:
                found.seen[work.node_id].get()
        return amend_build(loop, design.scope, design.graph, works, situation, implementation, commit_due)

    amended = yield from amend_with_needs(design.graph, works, situation, replacing, amended_beside, settled=settled)
    situation = amended.situation
    situation = yield from with_changed_checks(
        loop, applicable, design.scope, works, situation, implementation, commit_due
    )
    waiting = waiting_for_definitions(situation, design)
    steps = decide(dataclasses.replace(situation, undefined=waiting))
    steps = yield from with_former_first(loop, design.scope, applicable, works, steps, design.blueprints, commit_due)
    stuck = [text for name, text in steps.held(Hold.DEFINITION).items() if name not in situation.left.nodes]
    stuck += [f"node '{name}': {text}" for name, text in steps.held(Hold.TAKEN).items()]
    stuck += unconfigured(works, amended)
    if stuck:
        raise InvalidDesignError(list(dict.fromkeys(stuck)))
    return BuildPlan(design, record, works, replacing, steps)


def adopted(design: Design, work: Work) -> Implementation:
    """The implementation for an instance that stays: its own, or the new one that is equivalent."""
    blueprint = design.blueprints.get(work.node_name)
    if blueprint is None or work.record.implementation in blueprint.fingerprints:
        return work.implementation
    alike = (i for i in blueprint.implementations if blueprint.fingerprints[i.digest] == work.record.fingerprint)
    return next(alike, work.implementation)
