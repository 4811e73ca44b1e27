"""Which infrastructures have changed since somebody last looked, without reading their rows.

Every transaction that changes an infrastructure or its rows gives it the next revision of the store, as its last
statement. The row that counts is locked until the commit, so revisions become visible in their order: whoever has seen
one has seen all before it. What only takes, renews or gives back a lease changes nothing in this sense.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.row_conversion import chunks


@dataclass(frozen=True, slots=True)
class Revisions:
    """What has changed since an earlier revision of the store."""

    store: int
    """The revision of the store by now."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """By id: the revisions of the infrastructures that have changed and are still there."""
    present: frozenset[str] | None = None
    """The ids of all infrastructures, where some may have gone; None where none has."""


def raise_revision(connection: sa.Connection, infra_ids: Iterable[str]) -> int:
    """Give these infrastructures, as far as they exist, the next revision. The last statement of a transaction.

    Their rows are locked already, by this transaction having changed them or by `lock_infrastructures`.
    """
    counter, rows = tables.installation, tables.infrastructures
    revision = connection.scalar(counter.update().values(revision=counter.c.revision + 1).returning(counter.c.revision))
    assert revision is not None, "a store that is open has an installation"
    for part in chunks(sorted(set(infra_ids))):
        connection.execute(rows.update().where(rows.c.id.in_(part)).values(revision=revision))
    return int(revision)


def lock_infrastructures(connection: sa.Connection, infra_ids: Iterable[str]) -> None:
    """Lock rows that `raise_revision` is going to change: all who write lock them before the row that counts."""
    rows = tables.infrastructures
    for part in chunks(sorted(set(infra_ids))):
        connection.execute(sa.select(rows.c.id).where(rows.c.id.in_(part)).order_by(rows.c.id).with_for_update())


class RevisionRows:
    """The revisions of all infrastructures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, last: int) -> Revisions:
        """What has changed since the store had the revision `last`; from -1 on, everything. Raises `StoreError`."""
        rows = tables.infrastructures
        with self._database.reading() as connection:
            now = connection.scalar(sa.select(tables.installation.c.revision)) or 0
            if now == last:
                return Revisions(now)
            if now < last:  # a backup was put back
                last = -1
            changed = dict(
                connection.execute(sa.select(rows.c.id, rows.c.revision).where(rows.c.revision > last)).all()
            )
            # A revision that no row has any more was followed by a later one, or its infrastructure is gone.
            whole = last >= 0 and len(set(changed.values())) == now - last
            present = None if whole else frozenset(connection.scalars(sa.select(rows.c.id)))
        return Revisions(now, changed, present)
