"""Opening the store: one file of SQLite by default, any database SQLAlchemy speaks to by URL."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from occopus_core.store import migrations, tables
from occopus_core.store.records import StoreError

BUSY_TIMEOUT = 60.0
"""Seconds a process waits for others to finish writing."""


def open_database(url: str) -> Database:
    """The database at a SQLAlchemy URL, made or migrated to the present schema where needed.

    Safe to call from several processes at once. Raises `StoreError`.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            _prepare_file(parsed.database)
        engine = sa.create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(f"the store URL cannot be used: {error}") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    database = Database(engine)
    with database.writing() as connection:
        migrations.migrate(connection)
        known = connection.scalar(sa.select(tables.installation.c.id))
        if known is None:
            known = str(uuid.uuid4())
            connection.execute(tables.installation.insert().values(id=known))
    database.installation = known
    return database


class Database:
    """Transactions on one database. `installation` is its own name, written into the tags of all it owns."""

    installation: str

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(occopus_writes=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database. Raises `StoreError`."""
        with self._transaction(self._engine) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or undone where the block raises. Raises `StoreError`."""
        with self._transaction(self._writer) as connection:
            yield connection

    def close(self) -> None:
        """Let go of the connections. The database can be used again afterwards."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreError(f"the store {self._name} cannot be used: {error.orig}") from error
        except SQLAlchemyError as error:
            raise StoreError(f"the store {self._name} cannot be used: {error}") from error

    @property
    def _name(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)


def _prepare_file(path: str | None) -> None:
    """Descriptions may hold passwords: the file and a folder made for it belong to the user alone."""
    if not path or path == ":memory:":
        return
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"the store {path} cannot be opened: {error.strerror}") from error


def _configure_sqlite(connection: sa.engine.interfaces.DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin by itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT * 1000)}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # An intent must be on the disk before the call it announces, also when the power goes.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A reader that turns writer would fail at once when somebody else writes: writers say so from the start and wait.
    writes = connection.get_execution_options().get("occopus_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
