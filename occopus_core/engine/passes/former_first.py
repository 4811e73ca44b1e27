"""Finds the instances that are deleted before those that take their place, because of what they hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.exclusive import Claims, claims_of, named
from occopus_core.engine.planning.fingerprints import PLACEHOLDER_NODE_ID
from occopus_core.engine.planning.plan import Plan, Step, Verb
from occopus_core.engine.planning.preparation import Scope, Subject
from occopus_core.engine.planning.rehearsal import rehearsal_allowance
from occopus_core.store.records import Stage
from occopus_core.template_functions import functions


def with_former_first(
    loop: Loop,
    scope: Scope,
    before: Scope,
    works: Sequence[Work],
    plan: Plan,
    blueprints: Mapping[str, Blueprint],
    commit_due: Callable[[], None] | None = None,
) -> Steps[Plan]:
    """The plan, which says of each instance that is deleted before another one is created what it holds.

    Records in memory what the instances hold that go, by their sections as described in the scope `before`.
    """
    going = {step.node_id for step in plan.of(Verb.DESTROY, Verb.REPLACE)}
    leaving = [work for work in works if work.node_id in going and work.stage is not Stage.RESERVED]
    coming = {step.node_name for step in plan.of(Verb.CREATE, Verb.REPLACE)}
    unfinished = {work.node_name for work in works if work.node_id not in going and work.stage is not Stage.READY}
    if not leaving or not (coming or unfinished):
        return plan

    def find() -> tuple[dict[str, Claims | None], dict[str, Claims]]:
        of_old, of_new = _Finder(before, works), _Finder(scope, works)
        held = {work.node_id: of_old.held(work) for work in leaving}
        if all(claims == frozenset() for claims in held.values()):
            return held, {}
        return held, {name: of_new.needed(blueprints[name]) for name in sorted(coming) if name in blueprints}

    held, needed = yield from loop.in_pool(find, commit_due)
    for work in leaving:
        work.claims = held[work.node_id]
    return dataclasses.replace(plan, steps=tuple(_said(step, held, needed) for step in plan.steps))


class _Finder:
    """Renders the sections of instances, by one description."""

    def __init__(self, scope: Scope, works: Sequence[Work]) -> None:
        self._scope = dataclasses.replace(scope, allowance=rehearsal_allowance())
        described = scope.infrastructure
        nodes = {node.name: node for node in described.nodes}
        self._neighbours = Neighbours(nodes, described.dependencies, lambda: works)

    def held(self, work: Work) -> Claims | None:
        """What an instance holds; None if that cannot be known."""
        return self._claims(self._neighbours.subject(work), work.record.connection)

    def needed(self, blueprint: Blueprint) -> Claims:
        """What a new instance of a node may need, by any of its implementations."""
        node, token = blueprint.node, f"occopus-{PLACEHOLDER_NODE_ID}"
        handed = self._neighbours.handed(node.name).values
        subjects = [
            Subject(node, PLACEHOLDER_NODE_ID, token, way, functions(self._neighbours), handed)
            for way in blueprint.implementations
        ]
        return frozenset(claim for subject in subjects for claim in self._claims(subject, None) or ())

    def _claims(self, subject: Subject, connection: str | None) -> Claims | None:
        try:
            return claims_of(self._scope, subject, connection)
        except Exception:  # noqa: BLE001  # the creation reports it
            return None


def _said(step: Step, held: Mapping[str, Claims | None], needed: Mapping[str, Claims]) -> Step:
    if step.node_id not in held:
        return step
    claims = held[step.node_id]
    if claims is None:
        common = needed.get(step.node_name, frozenset())
    else:
        mine = [step.node_name] if step.verb is Verb.REPLACE else []
        others = [name for name in needed if name != step.node_name]
        common = frozenset(claim for name in (*mine, *others) for claim in needed.get(name, ()) if claim in claims)
    if not common or step.verb not in (Verb.REPLACE, Verb.DESTROY):
        return step
    return dataclasses.replace(step, reason=f"{step.reason} (it is deleted first: it holds {named(common)})")
