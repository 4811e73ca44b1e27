"""Between rows and values, and the pieces of SQL that several rooms of the store share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from occopus_core.api.resource import Address, AddressKind, InstanceId
from occopus_core.descriptions.model import Implementation, Infrastructure
from occopus_core.descriptions.serial import (
    implementation_from_json,
    implementation_to_json,
    infrastructure_from_json,
    infrastructure_to_json,
    typed,
)
from occopus_core.store import tables
from occopus_core.store.records import (
    Condition,
    InfrastructureRecord,
    InstanceRecord,
    NoSuchInfrastructureError,
    ScaleKind,
    ScaleRequest,
    Setback,
    SpoiltError,
    Stage,
    StoredEvent,
)

FORGOTTEN = ""
"""In the place of an id: that of infrastructures that are gone."""

_LONGEST_REASON = 200
"""Characters of a reason that quotes what stands in a row."""

_YEAR_10000 = 253_402_300_800

_CHUNK = 500
"""How many names one statement asks for: databases limit the parameters of a statement."""


def infrastructure_row(connection: sa.Connection, infra_id: str) -> Any:
    """The row of an infrastructure. Raises `NoSuchInfrastructureError`."""
    table = tables.infrastructures
    row = connection.execute(sa.select(table).where(table.c.id == infra_id)).one_or_none()
    if row is None:
        raise NoSuchInfrastructureError(infra_id)
    return row


def add_implementations(connection: sa.Connection, implementations: Iterable[Implementation]) -> None:
    """Keep these implementations. Idempotent."""
    table = tables.implementations
    new = {implementation.digest: implementation for implementation in implementations}
    if new:
        _lock_implementations(connection)
    for part in chunks(sorted(new)):
        known = set(connection.scalars(sa.select(table.c.digest).where(table.c.digest.in_(part))))
        rows = [
            {"digest": digest, "body": json.dumps(implementation_to_json(new[digest]))}
            for digest in part
            if digest not in known
        ]
        if rows:
            connection.execute(table.insert(), rows)


def forget_unused_implementations(connection: sa.Connection) -> None:
    """Remove what neither a definition, nor an instance, nor a place names."""
    _lock_implementations(connection)
    digest = tables.implementations.c.digest
    users = (tables.definitions, tables.instances, tables.places)
    unused = [~sa.exists().where(user.c.implementation == digest) for user in users]
    connection.execute(tables.implementations.delete().where(*unused))


def add_places(connection: sa.Connection, infra_id: str, places: Iterable[tuple[str, str]]) -> None:
    """Remember where instances may be, each as implementation and connection. Idempotent."""
    new = set(places)
    if not new:
        return
    table = tables.places
    query = sa.select(table.c.implementation, table.c.connection).where(table.c.infra_id == infra_id)
    new.difference_update((digest, settings) for digest, settings in connection.execute(query))
    if new:
        rows = [{"infra_id": infra_id, "implementation": digest, "connection": settings} for digest, settings in new]
        connection.execute(table.insert(), rows)


def leave_places(connection: sa.Connection, infra_id: str) -> None:
    """The infrastructure is forgotten, but not where it was."""
    _lock_implementations(connection)
    table = tables.places
    query = sa.select(table.c.implementation, table.c.connection).where(table.c.infra_id == infra_id)
    add_places(connection, FORGOTTEN, [(digest, settings) for digest, settings in connection.execute(query)])
    connection.execute(table.delete().where(table.c.infra_id == infra_id))


def _lock_implementations(connection: sa.Connection) -> None:
    # One that nobody uses must not be forgotten while somebody else begins to use it. In SQLite one writes at a time.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE implementations IN SHARE ROW EXCLUSIVE MODE")


def lock_places(connection: sa.Connection) -> None:
    """Nobody may be between an instance and its place, which are written together, while one is forgotten."""
    _lock_implementations(connection)  # which all others do first
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE places IN ACCESS EXCLUSIVE MODE")


@contextlib.contextmanager
def understood(what: str) -> Iterator[None]:
    """Something else than Occopus may have written a row, or a disk have spoilt it. Raises `SpoiltError`."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise SpoiltError(f"{what} in the store cannot be read: {reason[:_LONGEST_REASON]}") from error


def implementation_of(body: str) -> Implementation:
    """The implementation kept in a row. Raises `SpoiltError`."""
    with understood("a node definition"):
        return implementation_from_json(json.loads(body))


def infrastructure_of(text: str | None) -> Infrastructure | None:
    """The description kept in a row, None where there is none. Raises `SpoiltError`."""
    with understood("an infrastructure"):
        return None if text is None else infrastructure_from_json(json.loads(text))


def record_of(row: Any) -> InfrastructureRecord:
    """The infrastructure kept in a row. Raises `SpoiltError`."""
    with understood(f"the infrastructure '{row.id}'"):
        setbacks = typed(json.loads(row.setbacks), dict)
        return InfrastructureRecord(
            id=typed(row.id, str),
            description=infrastructure_of(row.description),
            candidate=infrastructure_of(row.candidate if row.description or row.candidate else ""),
            wanted=row.wanted,
            created_at=typed(row.created_at, float),
            targets={name: typed(count, int) for name, count in typed(json.loads(row.targets), dict).items()},
            setbacks={
                name: Setback(typed(one["count"], int), typed(one["last"], float)) for name, one in setbacks.items()
            },
            frozen=typed(row.frozen, str),
        )


def infrastructure_text(infrastructure: Infrastructure) -> str:
    """The description as a row keeps it."""
    return json.dumps(infrastructure_to_json(infrastructure))


def instance_of(row: Any) -> InstanceRecord:
    """The instance kept in a row. Raises `SpoiltError`."""
    with understood(f"the instance '{row.node_id}'"):
        values = {name: getattr(row, name) for name in InstanceRecord.__slots__}
        values["stage"] = Stage(row.stage)
        values["condition"] = Condition(row.condition)
        values["addresses"] = tuple(
            Address(typed(value, str), AddressKind(kind)) for value, kind in json.loads(row.addresses)
        )
        values["instance_id"] = None if row.instance_id is None else InstanceId(typed(row.instance_id, str))
        for name in ("since", "created_at", "position"):
            typed(values[name], float)
        if row.unhealthy_since is not None:
            typed(row.unhealthy_since, float)
        for name in ("node_id", "infra_id", "node_name", "token", "connection", "fingerprint", "reason"):
            typed(values[name], str)
        return InstanceRecord(**values)


def instance_row(record: InstanceRecord) -> dict[str, Any]:
    """The row that keeps an instance."""
    row = {name: getattr(record, name) for name in InstanceRecord.__slots__}
    row["stage"] = record.stage.value
    row["condition"] = record.condition.value
    row["addresses"] = json.dumps([(address.value, address.kind.value) for address in record.addresses])
    # A provider may say what no database takes as text.
    row["reason"] = record.reason.replace("\0", "").encode(errors="replace").decode()
    return row


def request_of(row: Any) -> ScaleRequest:
    """The scaling request kept in a row. Raises `SpoiltError`."""
    with understood(f"the scaling request {row.id}"):
        values = {name: getattr(row, name) for name in ScaleRequest.__slots__}
        values["kind"] = ScaleKind(row.kind)
        typed(row.amount, int)
        typed(row.instance, str)
        return ScaleRequest(**values)


def event_of(row: Any) -> StoredEvent:
    """The event kept in a row. Raises `SpoiltError`."""
    with understood(f"the event {row.id}"):
        typed(row.at, float)
        typed(row.text, str)
        return StoredEvent(**{name: getattr(row, name) for name in StoredEvent.__slots__})


def moment(value: Any) -> float:
    """A time in seconds since 1970, before the year 10000. Raises `ValueError`."""
    if not 0 <= typed(value, float) < _YEAR_10000:
        raise ValueError("what stands where a time should is none")
    return float(value)


def chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The names in portions that fit one statement."""
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]
