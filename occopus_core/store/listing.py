"""The list of infrastructures, without SQLAlchemy: scripts poll it, so it must answer in a few milliseconds."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from occopus_core.store.files import file_of, opened
from occopus_core.store.records import InfrastructureState, InfrastructureSummary, StoreError, newer

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_SELECT = """
SELECT i.id, i.name,
       CASE WHEN NOT i.wanted THEN 'dropping'
            WHEN i.candidate IS NULL THEN 'ready'
            WHEN i.description IS NULL THEN 'building'
            ELSE 'updating' END,
       (SELECT count(*) FROM instances n WHERE n.infra_id = i.id), i.created_at, i.frozen
FROM infrastructures i ORDER BY i.created_at, i.id
"""


def list_infrastructures(url: str, warn: Callable[[str], object] = lambda _: None) -> Sequence[InfrastructureSummary]:
    """All infrastructures in the store, oldest first. Raises `StoreError`.

    Never changes or creates a store in a plain file; `warn` is called if the file does not exist.
    """
    # SQLAlchemy takes longer to import than the rest of the command: it is used only for URLs of other databases.
    if (path := file_of(url)) is not None:
        return [_summary(row) for row in _read_file(path, warn)]
    from occopus_core.store.database import open_database  # noqa: PLC0415

    with contextlib.closing(open_database(url)) as database, database.reading() as connection:
        return [_summary(row) for row in connection.exec_driver_sql(_SELECT)]


def _read_file(path: Path, warn: Callable[[str], object]) -> Iterable[Sequence[Any]]:
    try:
        with opened(path) as connection:
            _refuse_unknown(connection)
            return connection.execute(_SELECT).fetchall()
    except FileNotFoundError:
        warn(f"there is no store {path} yet: it is created by the first import or build")
        return []
    except UnicodeDecodeError as error:  # SQLite quotes damaged text, which its driver cannot decode
        raise StoreError(f"the store {path} cannot be read: it is damaged") from error
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read: {error.strerror}") from error
    except sqlite3.Error as error:
        if "no such table" in str(error):  # another process has just created the file
            return []
        raise StoreError(f"the store {path} cannot be read: {error}") from error


def _refuse_unknown(connection: sqlite3.Connection) -> None:
    """Raise `StoreError` for a store of a newer version, whose tables may have another meaning."""
    version = "".join(row[0] for row in connection.execute("SELECT version_num FROM alembic_version"))
    if not any(_VERSIONS.glob(f"v{version}_*.py")):
        raise StoreError(newer(version))


def _summary(row: Sequence[Any]) -> InfrastructureSummary:
    infra_id, name, state, instances, created_at, frozen = row
    return InfrastructureSummary(infra_id, name, InfrastructureState(state), instances, created_at, frozen)
