"""A maintenance pass: requests are applied, everything is looked at, and what is not as it should be is mended."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from occopus_core.api.resource import Instance
from occopus_core.descriptions.graph import Graph
from occopus_core.engine.instance.deletion import LONGEST_DELETION, OVERDUE
from occopus_core.engine.instance.diagnosis import Diagnosis
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.unanswered import Unanswered, summarise
from occopus_core.engine.instance.work import Work, condemn
from occopus_core.engine.kernel.loop import Outcome, Steps
from occopus_core.engine.passes.building import build_leased, new_works
from occopus_core.engine.passes.destroying import destroy_leased
from occopus_core.engine.passes.errors import Passed
from occopus_core.engine.passes.site import Site
from occopus_core.engine.planning.design import Design, InvalidDesignError, make_design
from occopus_core.engine.planning.healing import Care, next_setback, plan_care
from occopus_core.engine.planning.plan import Step, Verb
from occopus_core.engine.planning.scaling import scale
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureRecord, Lease, Stage


def maintain(site: Site) -> Steps[Passed]:
    """One pass. An interrupted build is carried on, an unwanted infrastructure destroyed.

    Raises `BusyError` while another process works on it, `NoSuchInfrastructureError`, and what a build or a destruction
    that is carried on raises. A node that cannot be made or asked for is an event, and no error: it is in what is
    returned, and the next pass tries again.
    """
    lease = yield from site.acquire_soon()
    with site.releasing(lease):
        record = site.resources.store.infrastructure(site.infra_id)
        if not record.wanted:
            yield from destroy_leased(site, lease, record)
            return Passed()
        if record.candidate is not None:
            design = make_design(site.scope(record.candidate), site.resources.store)
            yield from build_leased(site, design, lease, record)
            record = site.resources.store.infrastructure(site.infra_id)
        passed = yield from _Pass(site, lease, record).run()
    site.tidy()
    return passed


class _Pass:
    def __init__(self, site: Site, lease: Lease, record: InfrastructureRecord) -> None:
        self._site = site
        self._lease = lease
        self._record = record
        self._runtime: Runtime = site.runtime(site.scope(record.current))
        self._works = site.recorded_works()
        site.connect(self._works)
        self._targets = dict(record.targets)
        self._unanswered: list[Unanswered] = []
        self._unconfirmed: list[str] = []
        self._undone: list[str] = []

    def run(self) -> Steps[Passed]:
        self._apply_requests()
        commit_due = self._runtime.journal.commit_due
        ready = [work for work in self._works if work.stage is Stage.READY]
        seen = yield from self._site.resources.observatory.observe(ready, commit_due)
        self._tell_unanswered("a provider", seen)
        self._note_unanswered(ready, seen)
        diagnosis = Diagnosis(self._runtime, self._record.current, self._works, seen, self._site.pause())
        examined = yield from self._site.resources.checks.examine(diagnosis.targets(), commit_due)
        self._tell_unanswered("a health checker", examined)
        ailments = diagnosis.ailments(examined)
        now = self._runtime.clock.now()
        records = [work.record for work in self._works]
        care = plan_care(self._targets, records, ailments, self._record.setbacks, now)
        self._tell_care(care)
        yield from self._carry_out(care)
        self._runtime.journal.flush()
        self._site.refuse_if_abandoned()
        return Passed(tuple(self._undone), (*summarise(self._unanswered), *self._unconfirmed))

    # Scaling

    def _apply_requests(self) -> None:
        store = self._site.resources.store
        requests = store.pending_requests(self._site.infra_id)
        if not requests:
            return
        scaled = scale(requests, self._record.current, self._targets, [work.record for work in self._works])
        now = self._runtime.clock.now()
        with store.changing(self._lease) as change:
            change.put_targets(scaled.targets)
            change.condemn(scaled.condemned)
            change.answer_requests({answer.request.id: answer.text for answer in scaled.answers}, now)
            for answer in scaled.answers:
                self._runtime.tell_with(change, answer.kind, answer.text, answer.request.node_name)
        self._targets = scaled.targets
        condemn(self._works, scaled.condemned)

    # Telling

    def _tell_unanswered(self, who: str, outcomes: Mapping[str, Outcome[Any]]) -> None:
        reasons = sorted({str(outcome.error) for outcome in outcomes.values() if outcome.error is not None})
        self._tell_once(who, EventKind.WAITING, f"for {who}: {'; '.join(reasons)}" if reasons else "")

    def _note_unanswered(self, works: Iterable[Work], seen: Mapping[str, Outcome[Instance]]) -> None:
        errors = {node_id: outcome.error for node_id, outcome in seen.items() if outcome.error is not None}
        for work in works:
            if work.node_id in errors:
                self._unanswer(work, errors[work.node_id])

    def _unanswer(self, work: Work, why: Exception | str) -> None:
        self._unanswered.append(Unanswered(work.node_name, work.implementation.label, why))

    def _tell_care(self, care: Care) -> None:
        self._undone += [text for text in (care.frozen, *care.held.values()) if text]
        if bool(care.frozen) != bool(self._record.frozen):
            with self._site.resources.store.changing(self._lease) as change:
                change.put_frozen(care.frozen)
                kind = EventKind.FROZEN if care.frozen else EventKind.UNFROZEN
                self._runtime.tell_with(change, kind, care.frozen or "most instances are well again")
        for name in self._targets:
            self._tell_once(f"held {name}", EventKind.HELD, care.held.get(name, ""), key=bool(care.held.get(name)))

    def _tell_overdue(self, works: Iterable[Work]) -> None:
        """A deletion that no pass sees the end of: whoever pays for the instance is to know."""
        for work in works:
            if work.stage is Stage.DROPPING and self._runtime.clock.now() - work.record.since > LONGEST_DELETION:
                self._tell_once(f"overdue {work.node_id}", EventKind.NODE_UNCONFIRMED, OVERDUE, of=work)
                self._unanswer(work, OVERDUE)

    def _tell_once(self, about: str, kind: EventKind, text: str, key: object = None, of: Work | None = None) -> None:
        """Tell when it changes, not at every pass; an empty text ends it."""
        known = text if key is None else key
        if self._site.told.get(about, "" if key is None else False) != known:
            self._site.told[about] = known
            if text:
                self._runtime.tell(kind, text, *((of.node_name, of.node_id) if of else ()))

    # Carrying out

    def _carry_out(self, care: Care) -> Steps[None]:
        plan = care.plan
        going, replaced, lacking = plan.of(Verb.DESTROY), plan.of(Verb.REPLACE), plan.of(Verb.CREATE, Verb.REPLACE)
        kept = {step.node_id for step in plan.of(Verb.KEEP)}
        unfinished = [work for work in self._works if work.node_id in kept and work.stage is not Stage.READY]
        design = self._design() if unfinished or lacking else None
        if design is not None:
            self._heal(replaced)
            going += replaced
        self._doom(going)
        if design is not None or going:
            yield from self._mend(care, design, unfinished)

    def _mend(self, care: Care, design: Design | None, unfinished: Sequence[Work]) -> Steps[None]:
        blueprints, graph, creations = {}, Graph.of(self._record.current), []
        if design is not None:
            blueprints, graph = dict(design.blueprints), design.graph
            fresh = new_works(self._runtime, blueprints, care.plan, self._works, provisional=False)
            creations = [*unfinished, *fresh]
        works = dict.fromkeys([*self._works, *creations])
        execution = self._site.execution(self._runtime, blueprints, self._record, list(works))
        yield from execution.mend(creations, [work for work in self._works if work.dropping], graph)
        self._tell_overdue(execution.works)
        self._unconfirmed = execution.unconfirmed
        self._undone += execution.problems
        self._count_setbacks(execution.failed_nodes)

    def _design(self) -> Design | None:
        """How instances are made; None, which is told, where that cannot be known at present."""
        problem, design = "", None
        try:
            design = make_design(self._runtime.scope, self._site.resources.store)
        except InvalidDesignError as error:
            problem = f"for a usable definition: {error}"
            self._undone.append(f"waiting {problem}")
        self._tell_once("design", EventKind.WAITING, problem)
        return design

    def _heal(self, replaced: Sequence[Step]) -> None:
        for step in replaced:
            self._runtime.tell(EventKind.HEALING, step.reason, node_name=step.node_name, node_id=step.node_id)
        self._count_setbacks(step.node_name for step in replaced)

    def _doom(self, going: Sequence[Step]) -> None:
        node_ids = {step.node_id for step in going}
        for work in self._works:
            work.dropping = work.node_id in node_ids
            work.drop_reported = work.stage is Stage.DROPPING and work.node_id in self._site.dropping
        self._site.dropping = node_ids

    def _count_setbacks(self, node_names: Iterable[str]) -> None:
        now = self._runtime.clock.now()
        setbacks = dict(self._record.setbacks)
        for name in dict.fromkeys(node_names):
            setbacks[name] = next_setback(setbacks.get(name), now)
        if setbacks != dict(self._record.setbacks):
            self._record = dataclasses.replace(self._record, setbacks=setbacks)
            with self._site.resources.store.changing(self._lease) as change:
                change.put_setbacks(setbacks)
