"""Opening the store, and transactions on it."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from occopus_core.store import migrations, tables
from occopus_core.store.engines import BRIEF, WRITES, make_engine
from occopus_core.store.presence import Presence, remember, remembered
from occopus_core.store.records import StoreError


def open_database(url: str) -> Database:
    """The database at a URL, made or migrated to the present schema where needed.

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
    """Transactions on one database. `installation` is its own name, written into the tags of all it owns."""

    installation: str

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._brief_writer = self._writer.execution_options(**{BRIEF: True})
        # In SQLite one writes at a time, and who waits for that sleeps and tries again, ever longer, while others slip
        # in: the threads of a process take turns here.
        single = engine.dialect.name == "sqlite"
        self._turn: AbstractContextManager[object] = threading.Lock() if single else contextlib.nullcontext()
        self._presence = Presence(str(engine.url.database)) if single else None

    @property
    def earlier_installation(self) -> str | None:
        """What a store that was in the same file before is called, None where that is not known."""
        return remembered(str(self._engine.url.database)) if self._presence is not None else None

    def remember(self) -> None:
        """From now on the store is known by its `installation`, also after a loss of its file."""
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
        """A transaction that is committed at the end, or undone where the block raises. Raises `StoreError`.

        With `brief` it does not wait for the disk where only this machine has the database: for what means nothing any
        more once every process that uses it has ended, as it has when the power goes.
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
            if presence is not None:  # what was written may be in a file that nobody sees any more
                presence.refuse_if_replaced()
        except StoreError as error:
            error.unknown = committing
            raise

    @contextlib.contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """Like `writing`, and tables may be replaced that others refer to. Raises `StoreError`."""
        with self._translated(), self._writer.connect() as connection, migrations.rebuilding(connection):
            yield connection

    def close(self) -> None:
        """Let go of the connections. The database can be used again afterwards."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"the store {self._name} cannot be used: {_reason(error)}") from error
        except UnicodeDecodeError as error:  # SQLite quotes what is damaged, and its driver cannot read that
            raise StoreError(f"the store {self._name} cannot be used: it is damaged") from error

    @property
    def _name(self) -> str:
        url = self._engine.url.set(query={})  # which may hold a password too
        return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _opened(database: Database) -> str | None:
    """The installation, where there is nothing to do: opening must not wait for those who write."""
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
    # Beyond its first message a server repeats values, which may be secret.
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return " ".join(str(primary or error.orig).split())
