"""Finds infrastructures that are gone, by what their log has kept."""

from __future__ import annotations

import sqlalchemy as sa

from occopus_core.events import EventKind
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.records import SHORTEST_BEGINNING, AmbiguousNameError, is_made


class GoneRows:
    """The infrastructures that are gone and have events; see `Store.gone`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def meant(self, text: str) -> str | None:
        """The id of the one with this id, this name, or an id with this beginning, as in `Store.meant`; else None.

        Raises `AmbiguousNameError`, which names the newest ones, and `StoreError`.
        """
        if not text.isascii() or not text:
            return None
        log, present = tables.events, tables.infrastructures
        gone = ~sa.exists().where(present.c.id == log.c.infra_id)
        created = log.c.kind == EventKind.INFRA_CREATED.value
        alike = sa.or_(log.c.text == text, log.c.infra_id.startswith(text, autoescape=True))
        by_name = sa.select(log.c.infra_id, log.c.text).where(created, alike, gone).order_by(log.c.id.desc())
        with self._database.reading() as connection:
            if connection.execute(sa.select(log.c.id).where(log.c.infra_id == text, gone).limit(1)).first():
                return text
            rows = connection.execute(by_name).all()
        named = list(dict.fromkeys(row.infra_id for row in rows if row.text == text))
        begun = list(dict.fromkeys(row.infra_id for row in rows if row.text != text and is_made(row.infra_id)))
        ids = named or (begun if len(text) >= SHORTEST_BEGINNING else [])
        if len(ids) > 1:
            raise AmbiguousNameError(text, ids)
        return ids[0] if ids else None
