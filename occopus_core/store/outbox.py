"""The delivery of the log to notifiers: a durable cursor for each notifier, and a lease to move it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from occopus_core.store import tables
from occopus_core.store.change import SKEW_SECONDS
from occopus_core.store.database import Database
from occopus_core.store.records import StoredEvent
from occopus_core.store.row_conversion import event_of

DELIVERY_SECONDS = 30.0
"""How long one delivery may last before another process takes over."""

KEPT_SECONDS = 24 * 3600.0
"""How long subscribers of an infrastructure that is gone are kept, so that they get its last events."""

PORTION = 200
"""How many events are delivered at a time."""


@dataclass(frozen=True, slots=True)
class Consignment:
    """The next events after a notifier's cursor. Only the holder of its epoch may move the cursor."""

    notifier: str
    epoch: int
    events: Sequence[StoredEvent]


class Outbox:
    """The cursors of all notifiers, by name. Every method raises `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, notifier: str) -> None:
        """Add a notifier, with its cursor at the end of the log. Idempotent: a known notifier keeps its cursor."""
        table = tables.notifiers
        with self._database.reading() as connection:
            if connection.scalar(sa.select(table.c.name).where(table.c.name == notifier)) is not None:
                return
        end = sa.func.coalesce(sa.select(sa.func.max(tables.events.c.id)).scalar_subquery(), 0)
        with self._database.writing() as connection, contextlib.suppress(sa.exc.IntegrityError):
            connection.execute(table.insert().values(name=notifier, cursor=end, epoch=0))

    def take(self, notifier: str, now: float) -> Consignment | None:
        """Take the next events to deliver; None if there are none, or another process is delivering them.

        They are reserved for `DELIVERY_SECONDS`, or until they are given back. `now` is in seconds since 1970; the
        system time may have been set back.
        """
        if not self._is_behind(notifier):
            return None
        table = tables.notifiers
        impossible = table.c.lease_expires > now + DELIVERY_SECONDS + SKEW_SECONDS
        free = sa.or_(table.c.lease_expires.is_(None), table.c.lease_expires <= now, impossible)
        claim = (
            table.update()
            .where(table.c.name == notifier, free)
            .values(epoch=table.c.epoch + 1, lease_expires=now + DELIVERY_SECONDS)
            .returning(table.c.epoch, table.c.cursor)
        )
        log = tables.events
        with self._database.writing() as connection:
            row = connection.execute(claim).one_or_none()
            if row is None:
                return None
            _await_writers(connection)
            query = sa.select(log).where(log.c.id > row.cursor).order_by(log.c.id).limit(PORTION)
            taken = Consignment(notifier, row.epoch, [event_of(event) for event in connection.execute(query)])
            if taken.events:
                return taken
            _release(connection, taken)  # another process has delivered them in between
        return None

    def advance(self, consignment: Consignment, cursor: int) -> None:
        """Move the cursor to the event with the id `cursor`. Has no effect after another process took over."""
        with self._database.writing() as connection:
            _release(connection, consignment, cursor=cursor)

    def give_back(self, consignment: Consignment) -> None:
        """Release these events for another delivery. Has no effect after another process took over."""
        with self._database.writing() as connection:
            _release(connection, consignment)

    # Subscribers

    def subscribe(self, infra_id: str, type: str, address: str, now: float) -> None:
        """Send events of an infrastructure to this address through notifiers of a type; replaces an earlier address.

        Idempotent.
        """
        table = tables.subscribers
        with self._database.writing() as connection:
            _forget_orphans(connection, now)
            connection.execute(table.delete().where(table.c.infra_id == infra_id, table.c.type == type))
            connection.execute(table.insert().values(infra_id=infra_id, type=type, address=address))

    def subscribers(self, type: str, infra_ids: Collection[str]) -> dict[str, str]:
        """By infrastructure: the address to which notifiers of a type send its events."""
        table = tables.subscribers
        query = sa.select(table.c.infra_id, table.c.address).where(
            table.c.type == type, table.c.infra_id.in_(infra_ids)
        )
        with self._database.reading() as connection:
            return dict(connection.execute(query).all())

    @staticmethod
    def forget_subscribers(connection: sa.Connection, infra_id: str) -> None:
        """Remove the subscribers of this id."""
        connection.execute(tables.subscribers.delete().where(tables.subscribers.c.infra_id == infra_id))

    def _is_behind(self, notifier: str) -> bool:
        """True if there are new events. Only reads, since usually there are none."""
        table = tables.notifiers
        newest = sa.select(sa.func.max(tables.events.c.id)).scalar_subquery()
        query = sa.select(table.c.name).where(table.c.name == notifier, table.c.cursor < newest)
        with self._database.reading() as connection:
            return connection.scalar(query) is not None


def _forget_orphans(connection: sa.Connection, now: float) -> None:
    """Remove subscribers of infrastructures that have been gone for a day; their last events have been delivered."""
    table, log = tables.subscribers, tables.events
    exists = sa.exists().where(tables.infrastructures.c.id == table.c.infra_id)
    fresh = sa.exists().where(log.c.infra_id == table.c.infra_id, log.c.at > now - KEPT_SECONDS)
    connection.execute(table.delete().where(~exists, ~fresh))


def _release(connection: sa.Connection, consignment: Consignment, **values: Any) -> None:
    table = tables.notifiers
    mine = (table.c.name == consignment.notifier, table.c.epoch == consignment.epoch)
    connection.execute(table.update().where(*mine).values(lease_expires=None, **values))


def _await_writers(connection: sa.Connection) -> None:
    # PostgreSQL numbers events before they are committed, so an event with a lower number may appear after the
    # cursor has passed it. Writers wait behind this lock, so it has a short timeout. SQLite has one writer at a time.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        connection.exec_driver_sql("LOCK TABLE events IN SHARE MODE")
