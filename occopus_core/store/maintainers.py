"""Records which processes maintain infrastructures periodically, and when each last announced itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from occopus_core.store import tables
from occopus_core.store.change import SKEW_SECONDS
from occopus_core.store.database import Database
from occopus_core.store.records import ALIVE_SECONDS, Maintainer
from occopus_core.store.row_conversion import chunks, moment, understood

KEPT_SECONDS = 7 * 86_400.0
"""How long a killed process is remembered."""


class MaintainerRows:
    """The rows of maintainers; see `Store.maintainers`. None of them raises the revision of an infrastructure."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def beat(self, id: str, name: str, now: float, begun: Collection[str] = (), ended: Collection[str] = ()) -> None:
        """Announce a maintainer, and the infrastructures that it has begun and stopped to maintain. Idempotent.

        Raises `StoreError`.
        """
        known, pairs = tables.maintainers, tables.maintained_by
        with self._database.writing(brief=True) as connection:
            if not connection.execute(known.update().where(known.c.id == id).values(seen=now, name=name)).rowcount:
                connection.execute(known.insert().values(id=id, name=name, seen=now))
            for part in chunks(sorted({*begun, *ended})):
                connection.execute(pairs.delete().where(pairs.c.maintainer == id, pairs.c.infra_id.in_(part)))
            taken = sorted({*begun} - {*ended})
            if taken:
                _take_over(connection, taken, now)
                rows = [{"infra_id": infra_id, "maintainer": id, "since": now} for infra_id in taken]
                connection.execute(pairs.insert(), rows)

    def leave(self, id: str) -> None:
        """The maintainer has ended. Idempotent. Raises `StoreError`."""
        with self._database.writing(brief=True) as connection:
            connection.execute(tables.maintained_by.delete().where(tables.maintained_by.c.maintainer == id))
            connection.execute(tables.maintainers.delete().where(tables.maintainers.c.id == id))

    def of(self, infra_id: str) -> Maintainer | None:
        """The maintainer of an infrastructure, see `read_maintainers`. Raises `StoreError`."""
        with self._database.reading() as connection:
            return read_maintainers(connection, infra_id).get(infra_id)


def read_maintainers(connection: sa.Connection, infra_id: str | None = None) -> Mapping[str, Maintainer]:
    """By infrastructure: the maintainer that was seen last. Raises `SpoiltError`."""
    known, pairs = tables.maintainers, tables.maintained_by
    query = sa.select(pairs.c.infra_id, known.c.name, pairs.c.since, known.c.seen).join(
        known, known.c.id == pairs.c.maintainer
    )
    if infra_id is not None:
        query = query.where(pairs.c.infra_id == infra_id)
    return latest(connection.execute(query.order_by(known.c.seen, pairs.c.since)))


def latest(rows: Iterable[Any]) -> Mapping[str, Maintainer]:
    """The last row of each infrastructure. Raises `SpoiltError`."""
    found: dict[str, Maintainer] = {}
    for infra_id, name, since, seen in rows:
        with understood(f"a maintainer of '{infra_id}'"):
            found[infra_id] = Maintainer(str(name), moment(since), moment(seen))
    return found


def _take_over(connection: sa.Connection, infra_ids: Collection[str], now: float) -> None:
    """Forget the killed maintainers of these infrastructures, which another one has taken over."""
    known, pairs = tables.maintainers, tables.maintained_by
    silent = sa.select(known.c.id).where(known.c.seen < now - _SILENT)
    for part in chunks(sorted(infra_ids)):
        connection.execute(pairs.delete().where(pairs.c.infra_id.in_(part), pairs.c.maintainer.in_(silent)))
    connection.execute(pairs.delete().where(pairs.c.maintainer.in_(sa.select(known.c.id).where(_old(now)))))
    connection.execute(known.delete().where(_old(now)))


def _old(now: float) -> sa.ColumnElement[bool]:
    return tables.maintainers.c.seen < now - KEPT_SECONDS


_SILENT = ALIVE_SECONDS + SKEW_SECONDS
