"""From the URL of a store to an engine of SQLAlchemy, and what each kind of database needs to be told."""

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
"""Seconds a process waits for others to finish writing."""

_FORMS = (
    "it is sqlite:///PATH, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE with what is special in the password "
    "percent-encoded ('@' is %40)"
)
_POOL: Mapping[str, Any] = {"pool_size": 15, "max_overflow": 45, "pool_use_lifo": True}
"""A connection for each thread of a service, lest those who only read wait behind those who wait to write."""

_POSTGRESQL = {
    "connect_timeout": "10",
    # The server ends the transactions of clients that vanished, and so lets go of the rows they hold.
    "options": f"-c lock_timeout={BUSY_TIMEOUT}s -c idle_in_transaction_session_timeout={BUSY_TIMEOUT}s",
    "tcp_user_timeout": str(BUSY_TIMEOUT * 1000),
}


def make_engine(url: str) -> sa.Engine:
    """An engine for the store at a URL; a missing file is made. Raises `StoreError`, which never shows a password.

    Blocks of the engine read one state of the database; with the execution option `WRITES` they write, and with `BRIEF`
    too, what they write may be lost with the machine.
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
    except (ArgumentError, ValueError):  # their messages may hold a part of the password
        parsed = None
    if parsed is None or "@" in (parsed.host or ""):
        raise StoreError(f"the store URL cannot be used: {_FORMS}")
    return parsed


# SQLite


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError("the store URL cannot be used: it names no file, and what is built must not be forgotten")
    _prepare_file(url.database)
    engine = sa.create_engine(url, hide_parameters=True, **_POOL)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_file(path: str) -> None:
    """Descriptions may hold passwords: the file and a folder made for it belong to the user alone."""
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # Not opened even for a moment: to close a file drops the locks that the process has on it elsewhere.
            os.mknod(path, stat.S_IFREG | 0o600)
    except OSError as error:
        raise StoreError(f"the store {path} cannot be made: {error.filename or path}: {error.strerror}") from error


def _configure_sqlite(connection: sa.engine.interfaces.DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin by itself
    connection.text_factory = _text
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000}")
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _text(stored: bytes) -> str | bytes:
    """What is no text stays bytes, and is a fault of its row alone; sqlite3 would refuse the whole question."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _use_write_ahead_log(cursor: sa.engine.interfaces.DBAPICursor) -> None:
    # Two who switch a file over at once are in each other's way, and SQLite lets neither of them wait.
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
    # A reader that turns writer would fail at once when somebody else writes: writers say so from the start and wait.
    options = connection.get_execution_options()
    if not options.get(WRITES, False):
        connection.exec_driver_sql("BEGIN")
        return
    # An intent must be on the disk before the call it announces, also when the power goes.
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
