"""Records when infrastructures were last looked at, for reports. Never raises the revision of an infrastructure."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.revisions import lock_infrastructures


class LookRows:
    """The times of the last looks; see `Store.looks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, seen: Mapping[str, float]) -> None:
        """Record when providers have last answered how the instances are, in seconds since 1970, by infrastructure.

        An earlier time than the recorded one has no effect, nor has an infrastructure that is gone. Raises
        `StoreError`.
        """
        table = tables.infrastructures
        later = sa.or_(table.c.seen_at.is_(None), table.c.seen_at < sa.bindparam("at"))
        statement = table.update().where(table.c.id == sa.bindparam("key"), later).values(seen_at=sa.bindparam("at"))
        with self._database.writing(brief=True) as connection:  # a lost time makes a report more careful, not wrong
            rows = [{"key": infra_id, "at": seen[infra_id]} for infra_id in lock_infrastructures(connection, seen)]
            if rows:
                connection.execute(statement, rows)
