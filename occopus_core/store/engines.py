"""Creates an SQLAlchemy engine from the URL of a store, with the settings that each kind of database needs."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from occopus_core.store.records import StoreError

WRITES, BRIEF = "occopus_writes", "occopus_brief"
"""Options of an execution."""

BUSY_TIMEOUT = 60
"""Seconds a process waits for other writers."""

_FORMS = (
    "it is sqlite:///PATH, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE with special characters of the password "
    "percent-encoded ('@' is %40)"
)
_POOL: Mapping[str, Any] = {"pool_size": 15, "max_overflow": 45, "pool_use_lifo": True}
"""A connection for each thread of a service, so that readers do not wait behind writers that are waiting."""

_POSTGRESQL = {
    "connect_timeout": "10",
    # The server ends the transactions of clients that vanished, which releases their locks.
    "options": f"-c lock_timeout={BUSY_TIMEOUT}s -c idle_in_transaction_session_timeout={BUSY_TIMEOUT}s",
    "tcp_user_timeout": str(BUSY_TIMEOUT * 1000),
}


def make_engine(url: str) -> sa.Engine:
    """An engine for the store at a URL; creates a missing file. Raises `StoreError`, which never shows a password.

    Blocks of the engine read one state of the database. With the execution option `WRITES` they write; with `BRIEF`
    as well, their changes may be lost in a power failure.
    """
    parsed = _parsed(url)
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            return _sqlite(parsed)
        case "postgresql" | "postgresql+psycopg":
            return _postgresql(parsed)
        case other:
            raise StoreError(f"the store URL cannot be used: there are no stores of the kind '{other}'; {_FORMS}")


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):  # their messages may contain a part of the password
        parsed = None
    if parsed is None or "@" in (parsed.host or ""):
        raise StoreError(f"the store URL cannot be used: {_FORMS}")
    return parsed


# SQLite


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError("the store URL cannot be used: it names no file, and a store in memory would be lost")
    _prepare_file(url.database)
    engine = sa.create_engine(url, hide_parameters=True, **_POOL)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_file(path: str) -> None:
    """Restrict the file, and a folder created for it, to the user: descriptions may hold passwords."""
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # Never opened here: closing a file drops the locks that the process holds on it elsewhere.
            os.mknod(path, stat.S_IFREG | 0o600)
    except OSError as error:
        raise StoreError(f"the store {path} cannot be made: {error.filename or path}: {error.strerror}") from error


def _configure_sqlite(connection: sa.engine.interfaces.DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin transactions
    connection.text_factory = _text
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000}")
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _text(stored: bytes) -> str | bytes:
    """Return invalid text as bytes, which affects its row only; sqlite3 would fail the whole query."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _use_write_ahead_log(cursor: sa.engine.interfaces.DBAPICursor) -> None:
    # Two processes that switch a file to WAL at once block each other, and SQLite fails instead of waiting.
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    # A reader that turns into a writer would fail at once during another write: writers declare it from the start.
    options = connection.get_execution_options()
    if not options.get(WRITES, False):
        connection.exec_driver_sql("BEGIN")
        return
    # An intent must be on the disk before the call that it announces, even if the power fails.
    connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get(BRIEF, False) else 'FULL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


# PostgreSQL


def _postgresql(url: sa.URL) -> sa.Engine:
    url = url.set(drivername="postgresql+psycopg", query={**_POSTGRESQL, **url.query})
    try:
        engine = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True, **_POOL)
    except ImportError as error:
        raise StoreError(
            "a store in PostgreSQL needs psycopg, which comes with the extra [postgresql] of occopus-core"
        ) from error
    sa.event.listen(engine, "begin", _begin_postgresql)
    return engine


def _begin_postgresql(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
