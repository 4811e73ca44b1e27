"""The list of infrastructures, without SQLAlchemy: scripts poll it, so it must answer in a few milliseconds."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from occopus_core.store.files import file_of, opened
from occopus_core.store.records import InfrastructureState, InfrastructureSummary, Maintainer, StoreError, newer

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_LIFE_TIMES = "0011"
"""The version in which life times and maintainers came."""
_MAINTAINERS = """
SELECT b.infra_id, m.name, b.since, m.seen FROM maintained_by b JOIN maintainers m ON m.id = b.maintainer
ORDER BY m.seen, b.since
"""
_SELECT = """
SELECT i.id, i.name,
       CASE WHEN NOT i.wanted THEN 'dropping'
            WHEN i.candidate IS NULL THEN 'ready'
            WHEN i.description IS NULL THEN 'building'
            ELSE 'updating' END,
       (SELECT count(*) FROM instances n WHERE n.infra_id = i.id), i.created_at, i.frozen, {expires_at}
FROM infrastructures i ORDER BY i.created_at, i.id
"""


def list_infrastructures(url: str, warn: Callable[[str], object] = lambda _: None) -> Sequence[InfrastructureSummary]:
    """All infrastructures in the store, oldest first. Raises `StoreError`.

    Never changes or creates a store in a plain file; `warn` is called if the file does not exist.
    """
    # SQLAlchemy takes longer to import than the rest of the command: it is used only for URLs of other databases.
    if (path := file_of(url)) is not None:
        rows, maintainers = _read_file(path, warn)
        return _summaries(rows, maintainers)
    from occopus_core.store.database import open_database  # noqa: PLC0415

    with contextlib.closing(open_database(url)) as database, database.reading() as connection:
        rows = connection.exec_driver_sql(_SELECT.format(expires_at="i.expires_at")).all()
        return _summaries(rows, connection.exec_driver_sql(_MAINTAINERS).all())


_Rows = Iterable[Sequence[Any]]


def _read_file(path: Path, warn: Callable[[str], object]) -> tuple[_Rows, _Rows]:
    """The rows of the infrastructures, and those of their maintainers."""
    try:
        with opened(path) as connection:
            if _known_version(connection) < _LIFE_TIMES:
                return connection.execute(_SELECT.format(expires_at="NULL")).fetchall(), []
            rows = connection.execute(_SELECT.format(expires_at="i.expires_at")).fetchall()
            return rows, connection.execute(_MAINTAINERS).fetchall()
    except FileNotFoundError:
        warn(f"there is no store {path} yet: it is created by the first import or build")
        return [], []
    except UnicodeDecodeError as error:  # SQLite quotes damaged text, which its driver cannot decode
        raise StoreError(f"the store {path} cannot be read: it is damaged") from error
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read: {error.strerror}") from error
    except sqlite3.Error as error:
        if "no such table" in str(error):  # another process has just created the file
            return [], []
        raise StoreError(f"the store {path} cannot be read: {error}") from error


def _known_version(connection: sqlite3.Connection) -> str:
    """The version of its schema. Raises `StoreError` for a newer version, whose tables may have another meaning."""
    version = "".join(row[0] for row in connection.execute("SELECT version_num FROM alembic_version"))
    if not any(_VERSIONS.glob(f"v{version}_*.py")):
        raise StoreError(newer(version))
    return version


def _summaries(rows: _Rows, maintainers: _Rows) -> Sequence[InfrastructureSummary]:
    known = {infra_id: Maintainer(name, since, seen) for infra_id, name, since, seen in maintainers}
    return [_summary(row, known.get(row[0])) for row in rows]


def _summary(row: Sequence[Any], maintainer: Maintainer | None) -> InfrastructureSummary:
    infra_id, name, state, instances, created_at, frozen, expires_at = row
    state = InfrastructureState(state)
    return InfrastructureSummary(infra_id, name, state, instances, created_at, frozen, expires_at, maintainer)
