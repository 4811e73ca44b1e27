"""Intent before action: what is announced is committed first, everything of one turn of the loop at once."""

from __future__ import annotations

from collections.abc import Callable

from occopus_core.descriptions.model import Implementation
from occopus_core.engine.loop import Loop
from occopus_core.store.records import InstanceRecord, Lease
from occopus_core.store.repository import LEASE_SECONDS, Store

LAG = 0.2
"""Seconds for which a change that announces nothing may wait for others to be committed with."""


class Journal:
    """Gathers changes of rows, and what is to happen once they are on the disk."""

    def __init__(self, store: Store, lease: Lease, loop: Loop, unwanted: Callable[[], None]) -> None:
        self._store = store
        self._lease = lease
        self._loop = loop
        self._unwanted = unwanted
        self._added: dict[str, InstanceRecord] = {}
        self._changed: dict[str, InstanceRecord] = {}
        self._removed: set[str] = set()
        self._implementations: dict[str, Implementation] = {}
        self._then: list[Callable[[], None]] = []
        self._committed = loop.clock.monotonic()
        self._renewed = loop.clock.now()

    def add(self, record: InstanceRecord, implementation: Implementation) -> None:
        """Add a row."""
        self._added[record.node_id] = record
        self.keep(implementation)

    def keep(self, implementation: Implementation) -> None:
        """Keep what a row is about to name."""
        self._implementations[implementation.digest] = implementation

    def put(self, record: InstanceRecord, then: Callable[[], None] | None = None) -> None:
        """Write a row anew; then, and not before, do what it announces.

        A change that announces nothing is committed a little later, with others: should it be lost, the provider is
        asked again.
        """
        if not self._changed:
            self._loop.after(LAG, lambda: None)
        rows = self._added if record.node_id in self._added else self._changed
        rows[record.node_id] = record
        if then is not None:
            self._then.append(then)

    def remove(self, node_id: str, then: Callable[[], None]) -> None:
        """Forget a row; then go on."""
        self._added.pop(node_id, None)
        self._changed.pop(node_id, None)
        self._removed.add(node_id)
        self._then.append(then)

    def settle(self) -> None:
        """Commit what announces something, and run what was waiting for it, until nothing does any more.

        Also keeps the lease. Raises `LeaseLostError`, `StoreError`; then nothing that was waiting has run.
        """
        while self._then or self._due():
            self._commit()
            then, self._then = self._then, []
            for action in then:
                action()

    def flush(self) -> None:
        """Commit everything gathered. Raises `LeaseLostError`, `StoreError`."""
        self.settle()
        if self._added or self._changed:
            self._commit()

    def _due(self) -> bool:
        gathered = bool(self._added or self._changed)
        return (gathered and self._loop.clock.monotonic() - self._committed >= LAG) or self._lease_is_due()

    def _lease_is_due(self) -> bool:
        # By the time of day: a machine may sleep through its lease, and no other clock tells.
        return self._loop.clock.now() - self._renewed > LEASE_SECONDS / 5

    def _commit(self) -> None:
        clock = self._loop.clock
        with self._store.changing(self._lease) as change:
            if self._lease_is_due():
                self._renewed = clock.now()
                change.renew(self._renewed)
            change.add_implementations(self._implementations.values())
            change.add_instances(list(self._added.values()))
            change.put_instances(list(self._changed.values()))
            change.remove_instances(self._removed)
            wanted = change.wanted
        self._committed = clock.monotonic()
        self._added.clear()
        self._changed.clear()
        self._removed.clear()
        self._implementations.clear()
        if not wanted:
            self._unwanted()
