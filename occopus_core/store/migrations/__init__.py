"""The versions of the schema. A new database gets the newest one; Alembic migrates an older one in place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from occopus_core.store import tables, version
from occopus_core.store.records import StoreError, newer

HEAD = version.HEAD
"""The version that `tables` describes."""

_SCRIPTS = Path(__file__).parent
_LOCK = 6022140
"""The number of Occopus among PostgreSQL's advisory locks."""

_version = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


def present(connection: sa.Connection) -> str | None:
    """The version of the database's schema; None without a schema."""
    if not sa.inspect(connection).has_table(_version.name):
        return None
    return connection.scalar(sa.select(_version.c.version_num))


def migrate(connection: sa.Connection) -> None:
    """Bring the database to `HEAD` within the caller's transaction. Raises `StoreError` for a newer version."""
    if connection.dialect.name == "postgresql":  # two processes must not create the tables at the same time
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    found = present(connection)
    if found is None:
        # Existing tables are an error: they belong to another program.
        tables.metadata.create_all(connection, checkfirst=False)
        _version.create(connection)
        connection.execute(_version.insert().values(version_num=HEAD))
    elif found != HEAD:
        upgrade(connection, found)


def upgrade(connection: sa.Connection, version: str | None) -> None:
    """Run the scripts from a version to the newest one; from None, all of them. Raises `StoreError`."""
    # Imported only when needed: the import takes longer than most commands.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(newer(version)) from error


@contextlib.contextmanager
def rebuilding(connection: sa.Connection) -> Iterator[None]:
    """A transaction in which SQLite allows to replace tables that others refer to. Raises `StoreError`."""
    if connection.dialect.name != "sqlite":
        with connection.begin():
            yield
        return
    # SQLite accepts the setting only between transactions. SQLAlchemy would begin one, so the driver is used directly.
    driver = connection.connection.cursor()
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        with connection.begin():
            yield
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise StoreError("the store cannot be upgraded: a row refers to another one that does not exist")
    finally:
        driver.execute("PRAGMA foreign_keys=ON")
        driver.close()
