"""Opens the database of the store, and runs transactions on it."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from occopus_core.store import migrations, tables
from occopus_core.store.engines import BRIEF, WRITES, make_engine
from occopus_core.store.presence import Presence, remember, remembered
from occopus_core.store.records import StoreError

_WAYS_ON = {
    "database or disk is full": ": free space in {folder} and run the command again: nothing recorded is lost",
    "disk I/O error": ": where {folder} is full, free space and run the command again: nothing recorded is lost",
}


def open_database(url: str) -> Database:
    """The database at a URL, created or migrated to the present schema if needed.

    Safe to call from several processes at once. Raises `StoreError`.
    """
    database = Database(make_engine(url))
    try:
        database.installation = _opened(database) or _prepared(database)
        database.remember()
    except BaseException:
        database.close()
        raise
    return database


class Database:
    """Transactions on one database. `installation` is the id of this store, written into the tags of its instances."""

    installation: str

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._brief_writer = self._writer.execution_options(**{BRIEF: True})
        # SQLite allows one writer at a time. Waiting writers sleep for growing times, while others overtake them: the
        # threads of a process take turns with this lock.
        single = engine.dialect.name == "sqlite"
        self._turn: AbstractContextManager[object] = threading.Lock() if single else contextlib.nullcontext()
        self._presence = Presence(str(engine.url.database)) if single else None

    @property
    def earlier_installation(self) -> str | None:
        """The installation of a store that was in the same file before; None if unknown."""
        return remembered(str(self._engine.url.database)) if self._presence is not None else None

    def remember(self) -> None:
        """Record `installation` beside the store, so that it is known after the file is lost."""
        if self._presence is not None:
            self._presence.installation = self.installation
            remember(str(self._engine.url.database), self.installation)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database. Raises `StoreError`."""
        if self._presence is not None:
            self._presence.refuse_if_replaced()
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, *, brief: bool = False) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or rolled back if the block raises. Raises `StoreError`.

        With `brief`, a local store does not wait for the disk. This is for data without meaning once every process that
        uses the store has ended, as after a power failure.
        """
        writer = self._brief_writer if brief else self._writer
        committing = False
        presence = self._presence
        if presence is not None:
            presence.refuse_if_replaced()
        try:
            with self._translated(), self._turn, writer.begin() as connection:
                if presence is not None and presence.installation:
                    presence.refuse_if_another(_installation(connection))
                yield connection
                committing = True
            if presence is not None:  # the file written to may have been deleted
                presence.refuse_if_replaced()
        except StoreError as error:
            error.unknown = committing
            raise

    @contextlib.contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """Like `writing`, and tables that others refer to may be replaced. Raises `StoreError`."""
        with self._translated(), self._writer.connect() as connection, migrations.rebuilding(connection):
            yield connection

    def close(self) -> None:
        """Close the connections. The database can be used again afterwards."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"the store {self._name} cannot be used: {_reason(error)}{self._way_on(error)}") from error
        except UnicodeDecodeError as error:  # SQLite quotes damaged text, which its driver cannot decode
            raise StoreError(f"the store {self._name} cannot be used: it is damaged") from error

    def _way_on(self, error: SQLAlchemyError) -> str:
        """What to do if a disk is full, if SQLite reports that."""
        said = _reason(error)
        hint = next((hint for words, hint in _WAYS_ON.items() if words in said), "")
        return hint.format(folder=Path(self._name).absolute().parent)

    @property
    def _name(self) -> str:
        url = self._engine.url.set(query={})  # the query may contain a password
        return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _opened(database: Database) -> str | None:
    """The installation, if the schema is current: opening must not wait for writers."""
    with database.reading() as connection:
        return _installation(connection) if migrations.present(connection) == migrations.HEAD else None


def _prepared(database: Database) -> str:
    with database.migrating() as connection:
        migrations.migrate(connection)
        known = _installation(connection)
        if known is None:
            known = database.earlier_installation or str(uuid.uuid4())
            connection.execute(tables.installation.insert().values(id=known))
        return known


def _installation(connection: sa.Connection) -> str | None:
    return connection.scalar(sa.select(tables.installation.c.id))


def _reason(error: SQLAlchemyError) -> str:
    if not isinstance(error, DBAPIError):
        return str(error)
    # After its first message a server repeats values, which may be secret.
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return " ".join(str(primary or error.orig).split())
