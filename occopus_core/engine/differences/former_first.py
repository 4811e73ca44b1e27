"""Finds the instances that are deleted before those that take their place, and those for which there is no place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from occopus_core.engine.instance.applicable import Applicable
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.work import Work, Works
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.exclusive import Asked, Claims, Taken, claims_of, named, unshared_by_all
from occopus_core.engine.planning.fingerprints import PLACEHOLDER_NODE_ID
from occopus_core.engine.planning.plan import Hold, Plan, Step, Verb
from occopus_core.engine.planning.preparation import Scope, Subject
from occopus_core.engine.planning.rehearsal import rehearsal_allowance
from occopus_core.store.records import Stage
from occopus_core.template_functions import functions

_NEW = (Verb.CREATE, Verb.REPLACE)
_Held: TypeAlias = Callable[[Work, Asked], Claims | None]
"""What an instance holds; None if that cannot be known."""


def with_former_first(
    loop: Loop,
    scope: Scope,
    before: Applicable,
    works: Sequence[Work],
    plan: Plan,
    blueprints: Mapping[str, Blueprint],
    commit_due: Callable[[], None] | None = None,
) -> Steps[Plan]:
    """The plan, which says of each instance that is deleted before another one is created what it holds.

    New instances wait (`Hold.TAKEN`) that need what the provider does not give them, because an instance that stays, or
    another new one, has it; and none is deleted for them. Records in memory what the instances hold that go, by their
    sections as described `before`.
    """
    coming = {step.node_name for step in plan.of(*_NEW)}
    held_by, of_new = _holding(before, works), _Finder(scope, works)
    if coming:
        plan = yield from loop.in_pool(lambda: _with_taken(plan, held_by, of_new, works, blueprints), commit_due)
    going = {step.node_id for step in plan.of(Verb.DESTROY, Verb.REPLACE)}
    leaving = [work for work in works if work.node_id in going and work.stage is not Stage.RESERVED]
    unfinished = {work.node_name for work in works if work.node_id not in going and work.stage is not Stage.READY}
    if not leaving or not (coming or unfinished):
        return plan

    def find() -> tuple[dict[str, Claims | None], dict[str, Claims]]:
        held = {work.node_id: held_by(work, "exclusive") for work in leaving}
        if all(claims == frozenset() for claims in held.values()):
            return held, {}
        return held, {name: of_new.needed(blueprints[name]) for name in sorted(coming) if name in blueprints}

    held, needed = yield from loop.in_pool(find, commit_due)
    for work in leaving:
        work.claims = held[work.node_id]
    return dataclasses.replace(plan, steps=tuple(_said(step, held, needed) for step in plan.steps))


def _with_taken(
    plan: Plan, held_by: _Held, of_new: _Finder, works: Sequence[Work], blueprints: Mapping[str, Blueprint]
) -> Plan:
    """The plan in which those new instances wait that need what another instance has."""
    names = {step.node_name for step in plan.of(*_NEW)} & blueprints.keys()
    ways = {name: of_new.ways(blueprints[name]) for name in names}
    connections = {claim.connection for found in ways.values() for way in found for claim in way}
    if not connections:
        return plan
    taken = Taken()
    present = {work.node_id: work for work in works}
    kept = plan.staying
    staying = [work for work in works if work.node_id in kept]
    for work in staying:
        if work.record.connection in connections:
            taken.add(work.node_name, held_by(work, "unshared") or frozenset())
    for name in [work.node_name for work in staying if work.stage is Stage.RESERVED]:
        if name in blueprints:  # it takes what a new one needs
            taken.take(name, ways.get(name) or of_new.ways(blueprints[name]))
    steps = []
    for step in plan.steps:
        why = taken.take(step.node_name, ways.get(step.node_name, ())) if step.verb in _NEW else ""
        if why:
            text = f"{step.reason}; {why}"
            steps.append(Step(Verb.WAIT, step.node_name, text, step.node_id, Hold.TAKEN))
            if step.node_id:
                taken.add(step.node_name, held_by(present[step.node_id], "unshared") or frozenset())
        else:
            steps.append(step)
    return dataclasses.replace(plan, steps=tuple(steps))


def _holding(before: Applicable, works: Sequence[Work]) -> _Held:
    """What an instance holds, by the description that applies to it."""
    finders = {id(scope): _Finder(scope, works) for scope, _ in before.groups(())}
    return lambda work, asked: finders[id(before.scope(work))].held(work, asked)


class _Finder:
    """Renders the sections of instances, by one description."""

    def __init__(self, scope: Scope, works: Sequence[Work]) -> None:
        self._scope = dataclasses.replace(scope, allowance=rehearsal_allowance())
        described = scope.infrastructure
        nodes = {node.name: node for node in described.nodes}
        self._neighbours = Neighbours(nodes, described.dependencies_of, Works(works))

    def held(self, work: Work, asked: Asked) -> Claims | None:
        """What an instance holds; None if that cannot be known."""
        subject = self._neighbours.subject(work)
        return self._found(lambda: claims_of(self._scope, subject, work.record.connection, asked))

    def needed(self, blueprint: Blueprint) -> Claims:
        """What a new instance of a node may need, by any of its implementations."""
        found = [self._found(lambda one=one: claims_of(self._scope, one)) for one in self._new(blueprint)]  # type: ignore[misc]
        return frozenset().union(*(claims or () for claims in found))

    def ways(self, blueprint: Blueprint) -> Sequence[Claims]:
        """By implementation: what every new instance of a node needs and only one instance can have."""
        found = [self._found(lambda one=one: unshared_by_all(self._scope, one)) for one in self._new(blueprint)]  # type: ignore[misc]
        return [claims or frozenset() for claims in found]

    def _new(self, blueprint: Blueprint) -> Iterator[Subject]:
        node, token = blueprint.node, f"occopus-{PLACEHOLDER_NODE_ID}"
        handed = self._neighbours.handed(node.name).values
        for way in blueprint.implementations:
            yield Subject(node, PLACEHOLDER_NODE_ID, token, way, functions(self._neighbours), handed)

    def _found(self, find: Callable[[], Claims]) -> Claims | None:
        try:
            return find()
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
