"""The schema's versions. A new database is made at the newest; an older one is brought there in place by Alembic."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from occopus_core.store import tables
from occopus_core.store.records import StoreError

HEAD = "0001"
"""The version `tables` describes; equals the newest file in `versions`."""

_version = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


def migrate(connection: sa.Connection) -> None:
    """Bring the database to `HEAD` within the caller's transaction. Raises `StoreError` for one from the future."""
    present = _present(connection)
    if present == HEAD:
        return
    if present is None:
        tables.metadata.create_all(connection)
        _version.create(connection)
        connection.execute(_version.insert().values(version_num=HEAD))
        return
    _upgrade(connection, present)


def _present(connection: sa.Connection) -> str | None:
    if connection.dialect.name == "postgresql":  # two processes must not make the tables at the same time
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(6022140)")
    if not sa.inspect(connection).has_table(_version.name):
        return None
    return connection.scalar(sa.select(_version.c.version_num))


def _upgrade(connection: sa.Connection, present: str) -> None:
    # Imported only when there is something to do: it takes longer than most commands.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the store has schema version {present}, which this version of Occopus does not know: upgrade Occopus"
        ) from error
