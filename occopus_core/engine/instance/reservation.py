"""Reserves an instance before any call for it: its id, its token, and its implementation."""

from __future__ import annotations

import itertools
import uuid
from collections import deque
from collections.abc import Mapping, Sequence

from occopus_core.api.resource import Instance, ResourceHandler
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.plan import Plan, Verb
from occopus_core.store.records import InstanceRecord, Place, Stage


def reserve(
    runtime: Runtime, blueprint: Blueprint, implementation: Implementation, position: int, *, provisional: bool
) -> InstanceRecord:
    """A row for a new instance."""
    now = runtime.clock.now()
    node_id = _new_id(runtime)
    return InstanceRecord(
        node_id=node_id,
        infra_id=runtime.scope.infra_id,
        node_name=blueprint.node.name,
        position=position,
        token=f"occopus-{node_id}",
        implementation=implementation.digest,
        connection="",
        fingerprint=blueprint.fingerprints[implementation.digest],
        stage=Stage.RESERVED,
        since=now,
        created_at=now,
        provisional=provisional,
    )


def stray_work(runtime: Runtime, place: Place, link: OpenConnection[ResourceHandler], instance: Instance) -> Work:
    """A row for an instance found at a provider that has none, so that its deletion is recorded too."""
    now = runtime.clock.now()
    record = InstanceRecord(
        node_id=_new_id(runtime),
        infra_id=runtime.scope.infra_id,
        node_name=(instance.owner.node_name if instance.owner else None) or "",
        position=0,
        token=instance.token,
        implementation=place.implementation.digest,
        connection=place.connection,
        fingerprint="",
        stage=Stage.DROPPING,
        since=now,
        created_at=now,
        instance_id=instance.id,
        addresses=instance.addresses,
        reason="found at the provider, unknown to the store",
    )
    runtime.journal.add(record, place.implementation)
    return Work(record, place.implementation, link=link, dropping=True)


def alternatives(runtime: Runtime, blueprint: Blueprint, implementation: Implementation) -> deque[Implementation]:
    """The other implementations, in random order, which spreads load over clouds."""
    others = [other for other in blueprint.implementations if other.digest != implementation.digest]
    runtime.rng.shuffle(others)
    return deque(others)


def new_work(runtime: Runtime, blueprint: Blueprint, position: int, *, provisional: bool) -> Work:
    """A new instance of a node, by any of its implementations."""
    way = runtime.rng.choice(blueprint.implementations)
    work = Work(reserve(runtime, blueprint, way, position, provisional=provisional), way)
    runtime.journal.add(work.record, work.implementation)
    return work


def _new_id(runtime: Runtime) -> str:
    return str(uuid.UUID(int=runtime.rng.getrandbits(128), version=4))


def new_works(
    runtime: Runtime,
    blueprints: Mapping[str, Blueprint],
    steps: Plan,
    works: Sequence[Work],
    *,
    provisional: bool = True,
) -> list[Work]:
    """Reserve the instances that a plan creates, each with the lowest free position or that of the one it replaces.

    `provisional` instances are rolled back if their build fails.
    """
    positions = {work.node_id: work.record.position for work in works}
    taken: dict[str, set[int]] = {}
    for work in works:
        if not work.dropping:
            taken.setdefault(work.node_name, set()).add(work.record.position)
    fresh = []
    # Replacements first: they keep the positions of the instances they replace.
    for step in sorted(steps.of(Verb.CREATE, Verb.REPLACE), key=lambda step: step.verb is Verb.CREATE):
        used = taken.setdefault(step.node_name, set())
        position = positions.get(step.node_id) or next(number for number in itertools.count(1) if number not in used)
        used.add(position)
        fresh.append(new_work(runtime, blueprints[step.node_name], position, provisional=provisional))
    return fresh
