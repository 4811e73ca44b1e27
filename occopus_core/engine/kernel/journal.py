"""Intent before action: changes are committed, together for one turn of the loop, before the calls they announce."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from occopus_core.descriptions.model import Implementation
from occopus_core.engine.kernel.answers import redacted
from occopus_core.engine.kernel.lease import HeldLease, moment
from occopus_core.engine.kernel.loop import Loop
from occopus_core.events import PASSING, Event
from occopus_core.store.change import Change, PlaceKey, place_of
from occopus_core.store.configurations import ConfigurationRecord, Key
from occopus_core.store.records import InstanceRecord
from occopus_core.store.repository import Store

_MAPPINGS = ("section", "attributes", "mapped", "variables", "published")

LAG = 0.2
"""Seconds for which a change that announces no call may wait to be committed with others."""


class Journal:
    """Gathers changes of rows, and the callbacks to run once they are on the disk."""

    def __init__(
        self,
        store: Store,
        held_lease: HeldLease,
        loop: Loop,
        unwanted: Callable[[], None],
        redact: Callable[[str], str] = str,
    ) -> None:
        """`redact` removes secrets from texts of providers before they are recorded."""
        self.store = store
        """Where the changes go."""
        self._held_lease = held_lease
        self._loop = loop
        self._unwanted = unwanted
        self._redact = redact
        self._added: dict[str, InstanceRecord] = {}
        self._changed: dict[str, InstanceRecord] = {}
        self._removed: set[str] = set()
        self._unmade: set[PlaceKey] = set()
        """Where the removed instances would have been that were never made."""
        self._new_places: set[PlaceKey] = set()
        """The places that were recorded first by this pass, as far as no instance was removed there."""
        self._configurations: dict[Key, ConfigurationRecord] = {}
        self._forgotten: set[Key] = set()
        self._implementations: dict[str, Implementation] = {}
        self._host_keys: dict[str, str] = {}
        self._then: list[Callable[[], None]] = []
        self._events: list[tuple[float, Event]] = []
        self._committed = loop.clock.monotonic()

    def refuse_if_lost(self) -> None:
        """See `HeldLease.refuse_if_lost`."""
        self._held_lease.refuse_if_lost()

    def add(self, record: InstanceRecord, implementation: Implementation) -> None:
        """Add a row."""
        self._added[record.node_id] = record
        self.keep(implementation)

    def keep(self, implementation: Implementation) -> None:
        """Store an implementation that a row is about to refer to."""
        self._implementations[implementation.digest] = implementation

    def note(self, event: Event) -> None:
        """Record an event, unless its kind is transient."""
        if event.kind not in PASSING:
            if not self._events:
                self._loop.after(LAG, lambda: None)
            self._events.append((self._loop.clock.now(), dataclasses.replace(event, text=self._redact(event.text))))

    def put(self, record: InstanceRecord, then: Callable[[], None] | None = None) -> None:
        """Update a row; call `then`, which acts on the change, only after it is committed.

        A change without `then` is committed a little later, with others. If it is lost, the provider is asked again.
        """
        if not self._changed:
            self._loop.after(LAG, lambda: None)
        rows = self._added if record.node_id in self._added else self._changed
        rows[record.node_id] = record
        if then is not None:
            self._then.append(then)

    def configure(self, record: ConfigurationRecord, then: Callable[[], None] | None = None) -> None:
        """Update the row of an instance's configuration; call `then` only after it is committed."""
        if not self._configurations:
            self._loop.after(LAG, lambda: None)
        self._forgotten.discard(record.key)
        self._configurations[record.key] = record
        if then is not None:
            self._then.append(then)

    def forgotten(self, record: ConfigurationRecord) -> None:
        """The manager has no data of an instance any more: delete the row with the next commit."""
        if not self._forgotten:
            self._loop.after(LAG, lambda: None)
        self._configurations.pop(record.key, None)
        self._forgotten.add(record.key)

    def offer_host_key(self, node_id: str, key: str, then: Callable[[], None]) -> None:
        """Store a host key generated for an instance; call `then`, which creates the instance with it, after that."""
        self._host_keys[node_id] = key
        self._then.append(then)

    def remove(self, record: InstanceRecord, then: Callable[[], None], *, was_made: bool = True) -> None:
        """Delete a row, then call `then`.

        Of an instance that certainly was not made, the place is forgotten too, unless it was recorded for others.
        """
        self._added.pop(record.node_id, None)
        self._changed.pop(record.node_id, None)
        self._removed.add(record.node_id)
        if was_made:
            self._new_places.discard(place_of(record))
        else:
            self._unmade.add(place_of(record))
        self._then.append(then)

    def commit_due(self) -> None:
        """Commit changes that have a callback and run the callbacks, until none is left.

        Also renews the lease. Raises `LeaseLostError`, `StoreError`; in that case no waiting callback has run.
        """
        while self._then or self._due():
            self._commit()
            then, self._then = self._then, []
            for action in then:
                action()

    def flush(self) -> None:
        """Commit every gathered change. Raises `LeaseLostError`, `StoreError`."""
        self.commit_due()
        if self._gathered:
            self._commit()

    def commit_with(self, add: Callable[[Change], None]) -> None:
        """Commit every gathered change, and what `add` changes, together. Raises `LeaseLostError`, `StoreError`.

        The callbacks run with the next `commit_due`.
        """
        self._commit(add)

    def _due(self) -> bool:
        return (self._gathered and self._loop.clock.monotonic() - self._committed >= LAG) or self._held_lease.is_due

    @property
    def _gathered(self) -> bool:
        rows = self._added or self._changed or self._configurations or self._forgotten
        return bool(rows or self._events or self._host_keys)

    def _redacted(self, records: Mapping[str, InstanceRecord]) -> list[InstanceRecord]:
        return [
            dataclasses.replace(record, reason=self._redact(record.reason)) if record.reason else record
            for record in records.values()
        ]

    def _without_secrets(self, record: ConfigurationRecord) -> ConfigurationRecord:
        """The record with secrets redacted: `template_variables` or an answer may contain credentials."""
        values = {name: redacted(getattr(record, name), self._redact) for name in _MAPPINGS}
        return dataclasses.replace(record, reason=self._redact(record.reason), **values)

    def _commit(self, add: Callable[[Change], None] | None = None) -> None:
        due, asked = self._held_lease.is_due, moment(self._loop.clock)
        brief = not (self._gathered or self._removed or add)
        with self.store.changing(self._held_lease.lease, brief=brief) as change:
            if due:
                change.renew(asked[0])
            change.add_implementations(self._implementations.values())
            change.add_instances(self._redacted(self._added))
            change.put_instances(self._redacted(self._changed))
            change.offer_host_keys(self._host_keys)
            change.remove_instances(self._removed)
            change.forget_places(self._unmade & (self._new_places | change.new_places))
            change.remove_configurations(self._forgotten)
            change.put_configurations([self._without_secrets(one) for one in self._configurations.values()])
            change.add_events(self._events)
            if add is not None:
                add(change)
            wanted = change.wanted
        if due:
            self._held_lease.renewed(asked)
        self._committed = self._loop.clock.monotonic()
        self._new_places |= change.new_places
        self._unmade.clear()
        self._added.clear()
        self._changed.clear()
        self._host_keys.clear()
        self._removed.clear()
        self._configurations.clear()
        self._forgotten.clear()
        self._events.clear()
        self._implementations.clear()
        if not wanted:
            self._unwanted()
