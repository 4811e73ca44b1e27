"""The connections on which instances were ever made, kept until a user removes them."""

from __future__ import annotations

import sqlalchemy as sa

from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.records import NoSuchPlaceError, Place, PlaceInUseError
from occopus_core.store.row_conversion import forget_unused_implementations, implementation_of, lock_places


class PlaceRows:
    """The places of all infrastructures, including those that are gone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, infra_id: str | None = None) -> list[Place]:
        """The places where the infrastructure had instances; without id, those of all infrastructures."""
        table, bodies = tables.places, tables.implementations
        query = (
            sa.select(bodies.c.body, table.c.connection)
            .join(bodies, bodies.c.digest == table.c.implementation)
            .distinct()
            .order_by(table.c.connection, bodies.c.body)
        )
        if infra_id is not None:
            query = query.where(table.c.infra_id == infra_id)
        with self._database.reading() as connection:
            return [Place(implementation_of(body), settings) for body, settings in connection.execute(query)]

    def lost(self, infra_id: str | None = None) -> list[str]:
        """The settings of places that cannot be used: their implementation is no longer in the store."""
        table, known = tables.places, tables.implementations.c.digest
        query = sa.select(table.c.connection).where(~sa.exists().where(known == table.c.implementation)).distinct()
        if infra_id is not None:
            query = query.where(table.c.infra_id == infra_id)
        with self._database.reading() as connection:
            return list(connection.scalars(query.order_by(table.c.connection)))

    def forget(self, name: str) -> None:
        """Remove all places of this name: the label of their implementation, or the settings of a lost one.

        Raises `NoSuchPlaceError`, and `PlaceInUseError` if the store has instances there.
        """
        table, instances = tables.places, tables.instances
        with self._database.writing() as connection:
            lock_places(connection)
            query = sa.select(table.c.implementation, table.c.connection, tables.implementations.c.body).distinct()
            rows = connection.execute(query.outerjoin_from(table, tables.implementations)).all()
            found = [
                (digest, settings)
                for digest, settings, body in rows
                if name == (settings if body is None else implementation_of(body).label)
            ]
            if not found:
                raise NoSuchPlaceError(name)
            for digest, settings in found:
                there = (instances.c.implementation == digest, instances.c.connection == settings)
                infra_id = connection.scalar(sa.select(instances.c.infra_id).where(*there).limit(1))
                if infra_id is not None:
                    raise PlaceInUseError(name, infra_id)
                here = (table.c.implementation == digest, table.c.connection == settings)
                connection.execute(table.delete().where(*here))
            forget_unused_implementations(connection)
