"""Conversions between rows and records, and SQL that several modules of the store share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.descriptions.serial import implementation_from_json, implementation_to_json, typed
from occopus_core.events import Event
from occopus_core.store import tables
from occopus_core.store.record_columns import Columns
from occopus_core.store.records import (
    InfrastructureRecord,
    InstanceRecord,
    NoSuchInfrastructureError,
    ScaleRequest,
    SpoiltError,
    StoredEvent,
)

FORGOTTEN = ""
"""Replaces the id of infrastructures that are gone."""

INFRASTRUCTURES = Columns(
    InfrastructureRecord,
    tables.infrastructures,
    others=("name", "epoch", "lease_holder", "lease_expires", "maintained"),
)
"""Each change of an infrastructure writes only its own fields; other columns are for lists, leases and services."""

INSTANCES = Columns(
    InstanceRecord,
    tables.instances,
    # Other transactions change the last two fields, see `Change.finish_build` and `Change.condemn`.
    fixed=("node_id", "infra_id", "node_name", "position", "token", "provisional", "condemned"),
)
REQUESTS = Columns(ScaleRequest, tables.scale_requests, numbered="id")
EVENTS = Columns(StoredEvent, tables.events, numbered="id")

_LONGEST_REASON = 200
"""The longest part of a row, in characters, that a reason quotes."""

_YEAR_10000 = 253_402_300_800

_CHUNK = 500
"""How many names one statement contains: databases limit the parameters of a statement."""


def infrastructure_row(connection: sa.Connection, infra_id: str) -> Any:
    """The row of an infrastructure. Raises `NoSuchInfrastructureError`."""
    table = tables.infrastructures
    row = connection.execute(sa.select(table).where(table.c.id == infra_id)).one_or_none()
    if row is None:
        raise NoSuchInfrastructureError(infra_id)
    return row


def add_implementations(connection: sa.Connection, implementations: Iterable[Implementation]) -> None:
    """Store these implementations. Idempotent."""
    table = tables.implementations
    new = {implementation.digest: implementation for implementation in implementations}
    if new:
        lock_definitions(connection)
    for part in chunks(sorted(new)):
        known = set(connection.scalars(sa.select(table.c.digest).where(table.c.digest.in_(part))))
        rows = [
            {"digest": digest, "body": json.dumps(implementation_to_json(new[digest]))}
            for digest in part
            if digest not in known
        ]
        if rows:
            connection.execute(table.insert(), rows)


def put_definitions(connection: sa.Connection, definitions: Collection[NodeDefinition]) -> None:
    """Add these node definitions or replace those of the same names."""
    lock_definitions(connection)
    table = tables.definitions
    add_implementations(connection, [i for definition in definitions for i in definition.implementations])
    for part in chunks([definition.name for definition in definitions]):
        connection.execute(table.delete().where(table.c.name.in_(part)))
    rows = [
        {"name": definition.name, "position": position, "implementation": implementation.digest}
        for definition in definitions
        for position, implementation in enumerate(definition.implementations)
    ]
    if rows:
        connection.execute(table.insert(), rows)
    forget_unused_implementations(connection)


def forget_unused_implementations(connection: sa.Connection) -> None:
    """Remove implementations without a definition, instance or place."""
    lock_definitions(connection)
    digest = tables.implementations.c.digest
    users = (tables.definitions, tables.instances, tables.places)
    unused = [~sa.exists().where(user.c.implementation == digest) for user in users]
    connection.execute(tables.implementations.delete().where(*unused))


def add_places(connection: sa.Connection, infra_id: str, places: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Record places where instances may be, each as implementation and connection. Idempotent; returns the new ones."""
    new = set(places)
    if not new:
        return new
    table = tables.places
    query = sa.select(table.c.implementation, table.c.connection).where(table.c.infra_id == infra_id)
    new.difference_update((digest, settings) for digest, settings in connection.execute(query))
    if new:
        rows = [{"infra_id": infra_id, "implementation": digest, "connection": settings} for digest, settings in new]
        connection.execute(table.insert(), rows)
    return new


def leave_places(connection: sa.Connection, infra_id: str) -> None:
    """Keep the places of an infrastructure that is removed."""
    lock_definitions(connection)
    table = tables.places
    query = sa.select(table.c.implementation, table.c.connection).where(table.c.infra_id == infra_id)
    add_places(connection, FORGOTTEN, [(digest, settings) for digest, settings in connection.execute(query)])
    connection.execute(table.delete().where(table.c.infra_id == infra_id))


def lock_definitions(connection: sa.Connection) -> None:
    """Prevent changes of definitions and implementations, and new users of them, until the commit.

    So no definition is removed while another process begins to use it. The lock is taken before the first row of a
    definition, and after the rows of infrastructures.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
        connection.exec_driver_sql("LOCK TABLE implementations IN SHARE ROW EXCLUSIVE MODE")


def lock_places(connection: sa.Connection) -> None:
    """Lock the places, so that one can be removed: instances and their places are written together."""
    lock_definitions(connection)  # all other writers take this lock first
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE places IN ACCESS EXCLUSIVE MODE")


@contextlib.contextmanager
def understood(what: str) -> Iterator[None]:
    """Raise `SpoiltError` for a row that another program wrote, or that a disk error has damaged."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise SpoiltError(f"{what} in the store cannot be read: {reason[:_LONGEST_REASON]}") from error


def implementation_of(body: str) -> Implementation:
    """The implementation in a row. Raises `SpoiltError`."""
    with understood("a node definition"):
        return implementation_from_json(json.loads(body))


def record_of(row: Any) -> InfrastructureRecord:
    """The infrastructure in a row. Raises `SpoiltError`."""
    with understood(f"the infrastructure '{row.id}'"):
        record = INFRASTRUCTURES.of(row)
        if record.description is None and record.candidate is None:
            raise ValueError("it has no description")
        return record


def instance_of(row: Any) -> InstanceRecord:
    """The instance in a row. Raises `SpoiltError`."""
    with understood(f"the instance '{row.node_id}'"):
        return INSTANCES.of(row)


def request_of(row: Any) -> ScaleRequest:
    """The scaling request in a row. Raises `SpoiltError`."""
    with understood(f"the scaling request {row.id}"):
        return REQUESTS.of(row)


def event_of(row: Any) -> StoredEvent:
    """The event in a row. Raises `SpoiltError`."""
    with understood(f"the event {row.id}"):
        return EVENTS.of(row)


def event_row(at: float, event: Event) -> dict[str, Any]:
    """The row of an event that happened at `at`, in seconds since 1970."""
    kept = StoredEvent(0, event.infra_id, at, event.kind.value, event.node_name, event.node_id, event.text)
    return EVENTS.row(kept)


def moment(value: Any) -> float:
    """A time in seconds since 1970, before the year 10000. Raises `ValueError`."""
    if not 0 <= typed(value, float) < _YEAR_10000:
        raise ValueError("not a valid timestamp")
    return float(value)


def chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The names in chunks that fit into one statement."""
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]
