"""Finds and removes instances with the tags of this installation that its store does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from occopus_core.api.errors import TransientError
from occopus_core.api.resource import Instance, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.instance.observe import ask_each, describe, each_outcome, owned
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome, Steps
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.engine.passes.abandoned import described, find_registered, forget_abandoned, forget_registered
from occopus_core.engine.passes.resources import Resources
from occopus_core.engine.passes.tagging import look_for_untagged
from occopus_core.engine.passes.used_connections import UsedConnections
from occopus_core.store.records import MAKING, InstanceRecord, Stage

PATIENCE = 120.0
"""Seconds for which the deletion of strays is waited for."""

PAUSE = 1.0
"""Seconds between two checks of a deletion."""

Fate = Outcome[Instance | None]


@dataclass(frozen=True, slots=True)
class Stray:
    """An instance with our tags and no row."""

    implementation: Implementation
    """The implementation of other instances on its connection; the stray may have been made by another one."""
    link: OpenConnection[ResourceHandler]
    instance: Instance

    def __str__(self) -> str:
        owner = self.instance.owner
        node = f"node '{owner.node_name}' of '{owner.infra_id}'" if owner else "without a known owner"
        return f"{self.implementation.label} {self.instance.id}, {node}, {self.instance.state.value}"


@dataclass(frozen=True, slots=True)
class Swept:
    """The result: `strays`, the places that did not answer, and `left`: strays that still exist, with reasons."""

    strays: Sequence[Stray]
    silent: Sequence[str]
    left: Sequence[str] = ()
    untagged: Sequence[str] = ()
    """Instances whose rows have their ids but whose tags are not ours, each with the action taken."""
    registered: Sequence[Mapping[str, str]] = ()
    """Nodes registered at configuration managers that have no row: the manager, and the owner."""
    passed_over: Sequence[str] = ()
    """The clouds known only from a node definition that could not be searched, each with the reason."""
    unsearched: Sequence[str] = ()
    """The names of the places in `silent` that may be gone, not of those whose plugin is broken."""


def sweep(resources: Resources, *, remove: bool) -> Steps[Swept]:
    """Search every connection ever used or defined; delete the strays if `remove` is true. Idempotent.

    It takes no lease: a pass records an instance in the store before it calls the provider, and the store is read
    after the provider was. It waits until providers show recent instances. An instance whose id is in a row is never
    a stray, whatever its tags. Raises `StoreError`.
    """
    known_places = UsedConnections.of(resources.connections, resources.store)
    places = known_places.with_definitions(resources.connections, resources.store)
    yield from resources.loop.pause(_hidden_for(resources, places))
    owner = Owner(resources.store.installation)
    answers = yield from ask_each(
        resources.loop, _nothing, list(places.links), "list_owned", lambda link: owned(link.plugin, owner)
    )
    inventory = places.heard(answers)
    known = resources.store.instances_by_token()
    named = {(record.connection, record.instance_id): record for record in known.values()}
    strays = [
        Stray(places.links[link].implementation, link, instance)
        for link, instance in inventory.instances
        if (places.links[link].connection, instance.id) not in named and _is_stray(instance, known.get(instance.token))
    ]
    untagged = yield from look_for_untagged(resources, places, known.values(), repair=remove)
    unsearched = [*places.closed, *inventory.silent]
    listed = yield from find_registered(resources)
    silent = [*map(str, unsearched), *listed.silent]
    passed_over = [str(each) for each in inventory.passed_over]
    names = list(dict.fromkeys(each.name for each in unsearched if not each.broken))
    registered = described(listed.strays)
    if not remove:
        return Swept(strays, silent, (), untagged, registered, passed_over, names)
    left = yield from remove_strays(resources, strays)
    left += yield from forget_registered(resources, listed)
    left += yield from forget_abandoned(resources)
    return Swept(strays, silent, left, untagged, registered, passed_over, names)


def _hidden_for(resources: Resources, places: UsedConnections) -> float:
    """Seconds for which a provider may hide a second instance of a recently used token.

    Instances of removed rows are visible: each row is kept for that long.
    """
    windows: dict[str, float] = {}
    for link, place in places.links.items():
        windows[place.connection] = max(windows.get(place.connection, 0.0), link.plugin.consistency_window)
    now = resources.loop.clock.now()
    return max(
        (
            windows.get(record.connection, 0.0) - (0.0 if record.stage in MAKING else max(0.0, now - record.since))
            for record in resources.store.instances_by_token().values()
        ),
        default=0.0,
    )


def _is_stray(instance: Instance, record: InstanceRecord | None) -> bool:
    """True for an instance without a row. A row under way takes care of all instances with its token."""
    if instance.state is InstanceState.ABSENT:
        return False
    return record is None or (record.stage is Stage.READY and record.instance_id != instance.id)


def remove_strays(resources: Resources, strays: Sequence[Stray]) -> Steps[list[str]]:
    """Delete the strays and wait until they are gone. Returns those that remain, each with the reason."""
    left: list[str] = []
    waiting = list(strays)
    given_up_at = resources.loop.clock.monotonic() + PATIENCE
    while waiting:
        fates = yield from _fates(resources, waiting)
        late = resources.loop.clock.monotonic() > given_up_at
        waiting = []
        for stray, fate in fates:
            if fate.error is None and fate.get() is None:
                continue
            if late or (fate.error is not None and not isinstance(fate.error, TransientError)):
                left.append(f"{stray}: {reason(fate.error) if fate.error else 'the provider is still deleting it'}")
            else:
                waiting.append(stray)
        if waiting:
            yield from resources.loop.pause(PAUSE)
    return left


def _fates(resources: Resources, strays: Sequence[Stray]) -> Steps[list[tuple[Stray, Fate]]]:
    """Request their deletion once, and return the state of each."""
    by_link: dict[OpenConnection[ResourceHandler], list[Stray]] = {}
    for stray in strays:
        by_link.setdefault(stray.link, []).append(stray)
    answers = yield from ask_each(
        resources.loop, _nothing, list(by_link), "delete", lambda link: _delete(link.plugin, by_link[link])
    )
    return [
        (stray, Outcome(error=answer.error) if answer.error else answer.get()[stray.instance.id])
        for asked, answer in zip(by_link.values(), answers, strict=True)
        for stray in asked
    ]


def _delete(handler: ResourceHandler, strays: Sequence[Stray]) -> Mapping[InstanceId, Fate]:
    """The remaining state of each, None if it is gone, or the error of its deletion. Raises `ProviderError`."""
    ids = [stray.instance.id for stray in strays]
    errors = each_outcome(handler, "delete", ids)
    fates: dict[InstanceId, Fate] = {}
    for id, present in describe(handler, ids).items():
        gone = present.value is not None and present.value.state is InstanceState.ABSENT
        fates[id] = Outcome() if gone else Outcome(present.value, errors.get(id) or present.error)
    return fates


def _nothing() -> None:
    return
