"""Finds the infrastructures that have changed since an earlier time, without reading their rows.

Every transaction that changes an infrastructure or its rows gives it the next revision of the store, as its last
statement. The counter row is locked until the commit, so revisions become visible in order: a process that has seen
one has seen all earlier ones. Taking, renewing or releasing a lease does not change the revision.
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
    """The changes since an earlier revision of the store."""

    store: int
    """The present revision of the store."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """By id: the revisions of the changed infrastructures that exist."""
    present: frozenset[str] | None = None
    """The ids of all infrastructures if some may have been removed; otherwise None."""


def raise_revision(connection: sa.Connection, infra_ids: Iterable[str]) -> int:
    """Give these infrastructures, if they exist, the next revision. Must be the last statement of a transaction.

    The transaction has locked their rows already, by a change or by `lock_infrastructures`.
    """
    counter, rows = tables.installation, tables.infrastructures
    revision = connection.scalar(counter.update().values(revision=counter.c.revision + 1).returning(counter.c.revision))
    assert revision is not None, "a store that is open has an installation"
    for part in chunks(sorted(set(infra_ids))):
        connection.execute(rows.update().where(rows.c.id.in_(part)).values(revision=revision))
    return int(revision)


def lock_infrastructures(connection: sa.Connection, infra_ids: Iterable[str]) -> list[str]:
    """Lock the rows that `raise_revision` will change, and return the ids of those that exist.

    All writers lock them before the counter row. An infrastructure that another process adds later is not among them.
    """
    rows = tables.infrastructures
    found: list[str] = []
    for part in chunks(sorted(set(infra_ids))):
        query = sa.select(rows.c.id).where(rows.c.id.in_(part)).order_by(rows.c.id).with_for_update()
        found += connection.scalars(query)
    return found


class RevisionRows:
    """The revisions of all infrastructures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, last: int) -> Revisions:
        """The changes since the store had the revision `last`; all infrastructures for -1. Raises `StoreError`."""
        rows = tables.infrastructures
        with self._database.reading() as connection:
            now = connection.scalar(sa.select(tables.installation.c.revision)) or 0
            if now == last:
                return Revisions(now)
            if now < last:  # a backup was restored
                last = -1
            changed = dict(
                connection.execute(sa.select(rows.c.id, rows.c.revision).where(rows.c.revision > last)).all()
            )
            # If no row has a revision, its infrastructure was changed again or removed.
            whole = last >= 0 and len(set(changed.values())) == now - last
            present = None if whole else frozenset(connection.scalars(sa.select(rows.c.id)))
        return Revisions(now, changed, present)
