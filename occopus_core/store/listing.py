"""The list of infrastructures, kept apart because it must answer in a few milliseconds: it is what scripts poll."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from occopus_core.store.records import InfrastructureState, InfrastructureSummary, StoreError

_SELECT = """
SELECT i.id, i.name,
       CASE WHEN NOT i.wanted THEN 'dropping'
            WHEN i.candidate IS NULL THEN 'ready'
            WHEN i.description IS NULL THEN 'building'
            ELSE 'updating' END,
       (SELECT count(*) FROM instances n WHERE n.infra_id = i.id), i.created_at
FROM infrastructures i ORDER BY i.created_at, i.id
"""


def list_infrastructures(url: str) -> Sequence[InfrastructureSummary]:
    """All infrastructures in the store, oldest first. Changes nothing, makes nothing. Raises `StoreError`."""
    if url.startswith("sqlite:///"):
        return [_summary(row) for row in _read_file(Path(unquote(url.removeprefix("sqlite:///"))))]
    # SQLAlchemy takes longer to import than the rest of the command: not for the default store.
    from occopus_core.store.database import open_database  # noqa: PLC0415

    with open_database(url).reading() as connection:
        return [_summary(row) for row in connection.exec_driver_sql(_SELECT)]


def _read_file(path: Path) -> Iterable[Sequence[Any]]:
    if not path.exists():
        return []
    try:
        connection = sqlite3.connect(path, timeout=60.0)
        try:
            return connection.execute(_SELECT).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if "no such table" in str(error):  # made but not yet filled by another process
            return []
        raise StoreError(f"the store {path} cannot be read: {error}") from error


def _summary(row: Sequence[Any]) -> InfrastructureSummary:
    infra_id, name, state, instances, created_at = row
    return InfrastructureSummary(infra_id, name, InfrastructureState(state), instances, created_at)
