"""Finds ready instances that need another configuration, and asks configuration managers for their status."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.config import ConfigNode, ConfigState, ConfigStatus
from occopus_core.api.errors import TransientError
from occopus_core.api.resource import Address
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.differences.retries import Retries
from occopus_core.engine.instance.failure_detection import Notes
from occopus_core.engine.instance.left_questions import are_lost
from occopus_core.engine.instance.neighbours import Neighbours, recorded_node
from occopus_core.engine.instance.work import Work, Works
from occopus_core.engine.kernel.call_limits import RENDERED_AT_ONCE, CallQueue
from occopus_core.engine.kernel.config_managers import ManagerConnection, Statuses
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Loop, Outcome, Steps, Waiting
from occopus_core.engine.planning.decision import Situation, decide
from occopus_core.engine.planning.mappings import ADDRESS
from occopus_core.engine.planning.plan import Plan, Verb
from occopus_core.engine.planning.preparation import Configuration, Scope
from occopus_core.store.configurations import ConfigurationRecord
from occopus_core.store.records import InstanceRecord, Stage

PATIENCE = 10.0
"""Seconds for which the observation of ready instances waits for a manager."""

_NEW = "the address of an instance that is to be made"

Managed = Mapping[str, Outcome[ConfigStatus]]
"""The status from each manager, by node id."""


@dataclass(frozen=True, slots=True)
class Amended:
    """The situation with instances to reconfigure, and why configurations could not be rendered, by node id."""

    situation: Situation
    problems: Mapping[str, str] = field(default_factory=dict)


# Observing


def ask_managers(
    loop: Loop, scope: Scope, works: Sequence[Work], commit_due: Callable[[], None], notes: Notes
) -> Steps[Managed]:
    """Ask the managers of ready instances once, concurrently. Published attributes go to the notes.

    A manager that has not answered an earlier question is asked again ever more seldom, and not waited for again.
    """
    by_link: dict[ManagerConnection, list[Work]] = {}
    answers: dict[str, Outcome[ConfigStatus]] = {}
    for work in works:
        if work.stage is Stage.READY and work.configuration is not None:
            try:
                by_link.setdefault(scope.connections.config(work.configuration.section), []).append(work)
            except Exception as error:  # noqa: BLE001  # the plugin, or its credentials, are gone
                answers[work.node_id] = Outcome(error=TransientError(reason(error)))
    left = set(by_link)

    def answered(link: ManagerConnection, outcome: Outcome[Statuses]) -> None:
        if link not in left:
            return
        left.discard(link)
        for work in by_link[link]:
            one = outcome.get().get(work.node_id) if outcome.error is None else None
            answers[work.node_id] = one or Outcome(error=outcome.error or TransientError(f"{link.label}: no answer"))

    for link, asked in by_link.items():
        nodes = [recorded_node(work, scope.installation) for work in asked]
        _ask(loop, link, nodes, functools.partial(answered, link))
    yield Waiting(commit_due, lambda: not left)
    for work in works:
        outcome = answers.get(work.node_id)
        if outcome is not None and outcome.value is not None:
            _take(work, outcome.value, notes)
    return answers


def _ask(
    loop: Loop, link: ManagerConnection, nodes: Sequence[ConfigNode], done: Callable[[Outcome[Statuses]], None]
) -> None:
    """Ask for the status of nodes. `done` gets the answer, or an error after `PATIENCE` seconds, or both."""
    key, now = frozenset(node.node_id for node in nodes), loop.clock.monotonic()
    silence: Outcome[Statuses] = Outcome(error=TransientError(f"{link.label} has not answered for {PATIENCE:g} s"))
    if now - min(itertools.chain(*link.asked_at.values()), default=now) >= PATIENCE:
        done(silence)
        if key in link.asked_at and not are_lost(link.asked_at[key], now):
            return
    else:
        loop.after(PATIENCE, lambda: done(silence))
    asked_at = link.asked_at.setdefault(key, [])
    asked_at.append(now)

    def returned(outcome: Outcome[Statuses]) -> None:
        asked_at.remove(now)
        if not asked_at and link.asked_at.get(key) is asked_at:
            del link.asked_at[key]
        if outcome.error is None:  # calls that hang still do not hold up the next question
            link.asked_at.clear()
        done(outcome)

    link.limits.submit(lambda: link.statuses(nodes), returned, "status")


def _take(work: Work, status: ConfigStatus, notes: Notes) -> None:
    """Record the status that a manager reports for a ready instance."""
    record = work.configuration
    assert record is not None, "only an instance with a configuration manager is asked for"
    changes: dict[str, Any] = {}
    if status.state is ConfigState.READY and status.generation in ("", record.applied, record.wanted):
        applied = status.generation or record.applied
        changes = {
            "state": status.state,
            "reason": "",
            "published": dict(status.attributes),
            "applied": applied,
            "served": True,
        }
    elif status.state in (ConfigState.UNKNOWN, ConfigState.FAILED, ConfigState.PENDING):
        # Its status has changed, and no job is under way that would restore it: apply the configuration again.
        changes = {"state": status.state, "reason": status.reason, "applied": ""}
    if any(getattr(record, name) != value for name, value in changes.items()):
        work.configuration = dataclasses.replace(record, **changes)
        notes.configure(work.configuration)


# Deciding


def amend(
    loop: Loop,
    scope: Scope,
    works: Sequence[Work],
    situation: Situation,
    commit_due: Callable[[], None],
    retries: Retries | None = None,
    implementation: Callable[[Work], Implementation] = lambda work: work.implementation,
    is_under_way: Callable[[Work], bool] = lambda _work: False,
) -> Steps[Amended]:
    """Find the ready instances whose configuration changes once the plan is carried out.

    `implementation` returns an instance's implementation from then on. Instances in `is_under_way` are skipped.
    """
    concerned = [
        work
        for work in works
        if work.stage is Stage.READY
        and not is_under_way(work)
        and (work.configuration is not None or implementation(work).config_management is not None)
    ]
    if not concerned:
        return Amended(situation)
    plan = decide(situation)
    kept = plan.staying
    staying = [work for work in concerned if work.node_id in kept]
    neighbours = foreseen_neighbours(scope, works, plan)
    rendered = yield from _render(loop, scope, staying, neighbours, implementation, commit_due)
    changed: dict[str, str] = {}
    unfit = dict(situation.unfit)
    problems: dict[str, str] = {}
    held: set[str] = set()
    for work in staying:
        outcome = rendered[work.node_id]
        if outcome.error is not None:
            problems[work.node_id] = reason(outcome.error)
            continue
        why = _change(work, outcome.value, retries, situation.now)
        if not why:
            if retries is not None and _has_failed(work):
                held.add(work.node_name)
            continue
        if outcome.value is not None and not outcome.value.link.plugin.live and _was_applied(work):
            unfit[work.node_id] = why
        else:
            changed[work.node_id] = why
    changed.update(_followers(scope, staying, {*changed, *unfit}))
    names = {work.node_id: work.node_name for work in staying}
    changed = {node_id: why for node_id, why in changed.items() if names[node_id] not in held}
    return Amended(dataclasses.replace(situation, changed=changed, unfit=unfit), problems)


def _followers(scope: Scope, staying: Sequence[Work], changing: set[str]) -> dict[str, str]:
    """Instances that may receive new values from changing instances, directly or indirectly; each with the reason."""
    found: dict[str, str] = {}
    names = {work.node_name for work in staying if work.node_id in changing}
    while True:
        before = len(found)
        for edge in scope.infrastructure.dependencies:
            handed = ", ".join(one.target for one in edge.mappings if one.source != ADDRESS)
            if not handed or edge.dependee not in names:
                continue
            for work in staying:
                if work.node_name == edge.dependent and work.node_id not in {*changing, *found}:
                    found[work.node_id] = f"node '{edge.dependee}' is reconfigured and may hand it another {handed}"
                    names.add(work.node_name)
        if len(found) == before:
            return found


def _has_failed(work: Work) -> bool:
    """True if its configuration failed and is not due to be retried; its dependents wait, too."""
    return work.configuration is not None and work.configuration.state is ConfigState.FAILED


def _was_applied(work: Work) -> bool:
    return work.configuration is not None and bool(work.configuration.applied)


def _render(
    loop: Loop,
    scope: Scope,
    works: Sequence[Work],
    neighbours: Neighbours,
    implementation: Callable[[Work], Implementation],
    commit_due: Callable[[], None],
) -> Steps[Mapping[str, Outcome[Configuration | None]]]:
    found: dict[str, Outcome[Configuration | None]] = {}
    rendering = CallQueue(loop, RENDERED_AT_ONCE)
    for work in works:
        subject = neighbours.subject(work, implementation(work))
        settings = work.configuration.settings if work.configuration is not None else None
        rendering.submit(
            lambda subject=subject, settings=settings: scope.foreseen(subject, settings),  # type: ignore[misc]
            lambda outcome, id=work.node_id: found.update({id: outcome}),  # type: ignore[misc]
        )
    yield Waiting(commit_due, lambda: len(found) == len(works))
    return found


def foreseen_neighbours(scope: Scope, works: Sequence[Work], plan: Plan) -> Neighbours:
    """The instances that exist once the plan is carried out. New ones have placeholder values."""
    positions = {work.node_id: work.record.position for work in works}
    kept = plan.staying
    staying = [work for work in works if work.node_id in kept]
    last = max(positions.values(), default=0)
    coming = [
        _newcomer(step.node_name, positions.get(step.node_id, last + number), number, works)
        for number, step in enumerate(plan.of(Verb.CREATE, Verb.REPLACE), 1)
    ]
    nodes = {node.name: node for node in scope.infrastructure.nodes}
    return Neighbours(nodes, scope.infrastructure.dependencies_of, Works([*staying, *coming]))


def with_placeholder_addresses(work: Work, address: str = _NEW) -> Work:
    """The same instance with the addresses of one that is to be made."""
    return dataclasses.replace(work, record=dataclasses.replace(work.record, addresses=(Address(address),)))


def _newcomer(node_name: str, position: int, number: int, works: Sequence[Work]) -> Work:
    record = InstanceRecord(
        node_id=f"new-{number}",
        infra_id="",
        node_name=node_name,
        position=position,
        token="",
        implementation="",
        connection="",
        fingerprint="",
        stage=Stage.RESERVED,
        since=0.0,
        created_at=0.0,
        addresses=(Address(_NEW),),
    )
    return Work(record, works[0].implementation)


def _change(work: Work, configuration: Configuration | None, retries: Retries | None, now: float) -> str:
    """Why the instance has to be configured again; empty if it has not."""
    record = work.configuration
    if configuration is None:
        return f"{record.label} does not configure it any more" if record is not None else ""
    if record is None:
        return f"{configuration.link.label} does not configure it yet"
    if record.key != (work.node_id, configuration.kept.section["type"], configuration.settings):
        return f"its configuration manager was {record.label} and is {configuration.link.label}"
    if record.has(configuration.node.generation):
        if retries is not None:
            retries.forget(work.node_id)
        return ""
    if record.wanted == configuration.node.generation != record.applied:
        return _unapplied(work, record, retries, now)
    interrupted = record.applied == configuration.node.generation
    return "a reconfiguration with other values was interrupted" if interrupted else _difference(record, configuration)


def _unapplied(work: Work, record: ConfigurationRecord, retries: Retries | None, now: float) -> str:
    """Why the instance does not have its configuration; empty while it is too early to try again."""
    if retries is not None:
        if not retries.due(work.node_id, now):
            return ""
        retries.tried(work.node_id, now)
    if record.state is ConfigState.UNKNOWN:
        return f"{record.label} does not know it"
    if record.state is not ConfigState.FAILED:
        return "its configuration was not applied"
    return f"its configuration failed: {record.reason}" if record.reason else "its configuration failed"


def _difference(record: ConfigurationRecord, configuration: Configuration) -> str:
    """The changed parts, by name: values may be secret."""
    kept = configuration.kept
    pairs = {
        "config_management": (record.section, kept.section),
        "contextualisation.attributes": (record.attributes, kept.attributes),
        "mapped": (record.mapped, kept.mapped),
    }
    names = [
        f"{section}.{key}"
        for section, (before, after) in pairs.items()
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]
    return f"{', '.join(names)} changed" if names else "its configuration changed"
