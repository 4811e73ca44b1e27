"""The list of infrastructures, without SQLAlchemy: scripts poll it, so it must answer in a few milliseconds."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from occopus_core.store.files import file_of, opened
from occopus_core.store.records import (
    Condition,
    Holding,
    InfrastructureState,
    InfrastructureSummary,
    Maintainer,
    Stage,
    StoreError,
    newer,
)
from occopus_core.store.wanted_counts import wanted_count

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_LIFE_TIMES = "0011"
"""The version that introduced life times and maintainers."""
_MAINTAINERS = """
SELECT b.infra_id, m.name, b.since, m.seen FROM maintained_by b JOIN maintainers m ON m.id = b.maintainer
ORDER BY m.seen, b.since
"""
_SELECT = """
SELECT i.id, i.name,
       CASE WHEN NOT i.wanted THEN 'dropping'
            WHEN {rolling_back} <> '' THEN 'rolling_back'
            WHEN i.candidate IS NULL THEN 'ready'
            WHEN i.description IS NULL THEN 'building'
            ELSE 'updating' END,
       (SELECT count(*) FROM instances n WHERE n.infra_id = i.id), i.created_at, i.frozen, i.targets,
       CASE WHEN i.wanted AND {rolling_back} = '' AND i.description IS NOT NULL THEN i.candidate END, {expires_at},
       i.lease_holder, i.lease_expires, {seen_at}
FROM infrastructures i ORDER BY i.created_at, i.id
"""
_COUNTS = 'SELECT infra_id, stage, "condition", count(*) FROM instances GROUP BY infra_id, stage, "condition"'
_OUTDATED = "SELECT infra_id, count(*) FROM instances WHERE outdated <> '[]' GROUP BY infra_id"
_OUTDATED_KNOWN = "0013"
"""The version that introduced outdated instances."""
_ROLLBACKS_KNOWN = "0015"
"""The version that introduced recorded rollbacks."""
_LOOKS_KNOWN = "0019"
"""The version that introduced the time of the last look."""
_INSTANCES = """
SELECT i.id, i.name, n.node_name, n.node_id FROM infrastructures i LEFT JOIN instances n ON n.infra_id = i.id
ORDER BY i.created_at, i.id, n.node_name, n.position
"""


def list_infrastructures(url: str, warn: Callable[[str], object] = lambda _: None) -> Sequence[InfrastructureSummary]:
    """All infrastructures in the store, oldest first. Raises `StoreError`.

    Never changes or creates a store in a plain file; `warn` is called if the file does not exist.
    """
    found = _read(url, warn, _list)
    return _summaries(*found) if found else []


@dataclass(frozen=True, slots=True)
class NamedInstance:
    """An instance with the names of its infrastructure; an infrastructure without instances has one empty entry."""

    infra_id: str
    infra_name: str
    node_name: str | None
    node_id: str | None


def named_instances(url: str) -> Sequence[NamedInstance]:
    """The instances of all infrastructures, oldest infrastructure first, for completion. Raises `StoreError`."""
    rows = _read(url, lambda _: None, lambda run, _version: run(_INSTANCES)) or ()
    return [NamedInstance(*row) for row in rows]


_Rows = Iterable[Sequence[Any]]
_Run = Callable[[str], _Rows]
T = TypeVar("T")


def _list(run: _Run, version: str) -> tuple[_Rows, _Rows, _Rows, _Rows]:
    """The rows of the infrastructures, those of their maintainers, and the numbers of all and of outdated instances."""
    if version < _LIFE_TIMES:
        return run(_SELECT.format(expires_at="NULL", rolling_back="''", seen_at="NULL")), [], [], []
    outdated = run(_OUTDATED) if version >= _OUTDATED_KNOWN else []
    rolling_back = "i.rolling_back" if version >= _ROLLBACKS_KNOWN else "''"
    seen_at = "i.seen_at" if version >= _LOOKS_KNOWN else "NULL"
    rows = run(_SELECT.format(expires_at="i.expires_at", rolling_back=rolling_back, seen_at=seen_at))
    return rows, run(_MAINTAINERS), run(_COUNTS), outdated


def _read(url: str, warn: Callable[[str], object], queries: Callable[[_Run, str], T]) -> T | None:
    """The result of queries on the store; None if it does not exist yet. Raises `StoreError`."""
    # SQLAlchemy takes longer to import than the rest of the command: it is used only for URLs of other databases.
    if (path := file_of(url)) is not None:
        return _read_file(path, warn, queries)
    from occopus_core.store.database import open_database  # noqa: PLC0415
    from occopus_core.store.version import HEAD  # noqa: PLC0415

    with contextlib.closing(open_database(url)) as database, database.reading() as connection:
        return queries(lambda query: connection.exec_driver_sql(query).all(), HEAD)


def _read_file(path: Path, warn: Callable[[str], object], queries: Callable[[_Run, str], T]) -> T | None:
    try:
        with opened(path) as connection:
            version = _known_version(connection)
            return queries(lambda query: connection.execute(query).fetchall(), version)
    except FileNotFoundError:
        warn(f"there is no store {path} yet: it is created by the first import or build")
        return None
    except UnicodeDecodeError as error:  # SQLite quotes damaged text, which its driver cannot decode
        raise StoreError(f"the store {path} cannot be read: it is damaged") from error
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read: {error.strerror}") from error
    except sqlite3.Error as error:
        if "no such table" in str(error):  # another process has just created the file
            return None
        raise StoreError(f"the store {path} cannot be read: {error}") from error


def _known_version(connection: sqlite3.Connection) -> str:
    """The version of its schema. Raises `StoreError` for a newer version, whose tables may have another meaning."""
    version = "".join(row[0] for row in connection.execute("SELECT version_num FROM alembic_version"))
    if not any(_VERSIONS.glob(f"v{version}_*.py")):
        raise StoreError(newer(version))
    return version


def _summaries(rows: _Rows, maintainers: _Rows, counted: _Rows, outdated: _Rows) -> Sequence[InfrastructureSummary]:
    known = {infra_id: Maintainer(name, since, seen) for infra_id, name, since, seen in maintainers}
    counts: dict[str, dict[tuple[Stage, Condition], int]] = {}
    for infra_id, stage, condition, count in counted:
        with contextlib.suppress(ValueError):  # a damaged row
            counts.setdefault(infra_id, {})[Stage(stage), Condition(condition)] = count
    behind = {row[0]: row[1] for row in outdated}
    return [_summary(row, known.get(row[0]), counts.get(row[0], {}), behind.get(row[0], 0)) for row in rows]


def _summary(
    row: Sequence[Any], maintainer: Maintainer | None, counts: Mapping[tuple[Stage, Condition], int], outdated: int
) -> InfrastructureSummary:
    infra_id, name, state, instances, created_at, frozen, targets, updated, expires_at, holder, until, seen_at = row
    return InfrastructureSummary(
        *(infra_id, name, InfrastructureState(state), instances, created_at, frozen, expires_at, maintainer),
        target=_total(targets, updated),
        counts=counts,
        outdated=outdated,
        holding=Holding(holder, until) if isinstance(holder, str) and isinstance(until, float) else None,
        seen_at=seen_at,
    )


def _total(targets: Any, updated: Any) -> int:
    """The wanted number of instances; 0 for a damaged row."""
    try:
        return wanted_count(targets, updated)
    except (ValueError, TypeError, LookupError, AttributeError):
        return 0
