"""The store: node definitions, infrastructures, their instances, and the leases under which they change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from occopus_core.api.resource import Address, AddressKind, InstanceId
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDefinition
from occopus_core.descriptions.serial import (
    implementation_from_json,
    implementation_to_json,
    infrastructure_from_json,
    infrastructure_to_json,
)
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.records import (
    InfrastructureRecord,
    InstanceRecord,
    Lease,
    LeaseLostError,
    NoSuchInfrastructureError,
    Stage,
)

LEASE_SECONDS = 15.0
"""How long a lease lasts without being renewed: what a killed process keeps others waiting."""

_CHUNK = 500
"""How many names one statement asks for: databases limit the parameters of a statement."""


class InfrastructureTakenError(Exception):
    """Another infrastructure already has this id."""

    def __init__(self, infra_id: str) -> None:
        super().__init__(f"an infrastructure with the id '{infra_id}' exists already")
        self.infra_id = infra_id


class Store:
    """What is known. Reads see one state; changes of an infrastructure go through `changing` under a lease."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.installation = database.installation

    # Node definitions

    def put_definitions(self, definitions: Collection[NodeDefinition]) -> None:
        """Add these node definitions, replacing those of the same names: all or none."""
        with self._database.writing() as connection:
            _add_implementations(connection, [i for d in definitions for i in d.implementations])
            names = [definition.name for definition in definitions]
            for part in _chunks(names):
                connection.execute(tables.definitions.delete().where(tables.definitions.c.name.in_(part)))
            rows = [
                {"name": definition.name, "position": position, "implementation": implementation.digest}
                for definition in definitions
                for position, implementation in enumerate(definition.implementations)
            ]
            if rows:
                connection.execute(tables.definitions.insert(), rows)
            _forget_unused_implementations(connection)

    def definitions(self, names: Collection[str]) -> dict[str, NodeDefinition]:
        """Those of the named definitions that exist."""
        table, bodies = tables.definitions, tables.implementations
        found: dict[str, list[Implementation]] = {}
        with self._database.reading() as connection:
            for part in _chunks(sorted(set(names))):
                query = (
                    sa.select(table.c.name, bodies.c.body)
                    .join(bodies, bodies.c.digest == table.c.implementation)
                    .where(table.c.name.in_(part))
                    .order_by(table.c.name, table.c.position)
                )
                for name, body in connection.execute(query):
                    found.setdefault(name, []).append(implementation_from_json(json.loads(body)))
        return {name: NodeDefinition(name, tuple(implementations)) for name, implementations in found.items()}

    def definition_names(self) -> list[str]:
        """The names of all node definitions."""
        with self._database.reading() as connection:
            return list(connection.scalars(sa.select(tables.definitions.c.name).distinct().order_by("name")))

    def implementations(self, digests: Collection[str]) -> dict[str, Implementation]:
        """The implementations with these digests."""
        table = tables.implementations
        found: dict[str, Implementation] = {}
        with self._database.reading() as connection:
            for part in _chunks(sorted(set(digests))):
                for digest, body in connection.execute(
                    sa.select(table.c.digest, table.c.body).where(table.c.digest.in_(part))
                ):
                    found[digest] = implementation_from_json(json.loads(body))
        return found

    # Infrastructures

    def add_infrastructure(
        self, infra_id: str, candidate: Infrastructure, targets: Mapping[str, int], holder: str, now: float
    ) -> Lease:
        """Record a new infrastructure that is about to be built, leased to `holder` from the first moment.

        Raises `InfrastructureTakenError`.
        """
        with self._database.writing() as connection:
            row = tables.infrastructures.insert().values(
                id=infra_id,
                name=candidate.name,
                candidate=_infrastructure_text(candidate),
                wanted=True,
                targets=json.dumps(dict(targets)),
                created_at=now,
                epoch=1,
                lease_holder=holder,
                lease_expires=now + LEASE_SECONDS,
            )
            try:
                connection.execute(row)
            except sa.exc.IntegrityError:  # not looked for before: somebody may add it in between
                raise InfrastructureTakenError(infra_id) from None
        return Lease(infra_id, holder, 1)

    def infrastructure(self, infra_id: str) -> InfrastructureRecord:
        """Raises `NoSuchInfrastructureError`."""
        with self._database.reading() as connection:
            row = _row(connection, infra_id)
        return InfrastructureRecord(
            id=row.id,
            description=_infrastructure(row.description),
            candidate=_infrastructure(row.candidate),
            wanted=row.wanted,
            created_at=row.created_at,
            targets=json.loads(row.targets),
        )

    def instances(self, infra_id: str) -> list[InstanceRecord]:
        """The instances of an infrastructure, by node and position."""
        table = tables.instances
        query = sa.select(table).where(table.c.infra_id == infra_id).order_by(table.c.node_name, table.c.position)
        with self._database.reading() as connection:
            return [_instance(row) for row in connection.execute(query)]

    def unwant(self, infra_id: str) -> None:
        """Ask for the destruction of an infrastructure, whoever holds it. Raises `NoSuchInfrastructureError`."""
        table = tables.infrastructures
        with self._database.writing() as connection:
            result = connection.execute(table.update().where(table.c.id == infra_id).values(wanted=False))
            if not result.rowcount:
                raise NoSuchInfrastructureError(infra_id)

    # Leases

    def acquire(self, infra_id: str, holder: str, now: float) -> Lease | None:
        """Take the infrastructure, or None while another holder's lease lasts.

        Raises `NoSuchInfrastructureError`.
        """
        table = tables.infrastructures
        free = sa.or_(table.c.lease_holder.is_(None), table.c.lease_expires <= now)
        # One statement, so that of two who try at the same time one finds it taken.
        take = (
            table.update()
            .where(table.c.id == infra_id, free)
            .values(epoch=table.c.epoch + 1, lease_holder=holder, lease_expires=now + LEASE_SECONDS)
            .returning(table.c.epoch)
        )
        with self._database.writing() as connection:
            epoch = connection.scalar(take)
            if epoch is not None:
                return Lease(infra_id, holder, epoch)
            _row(connection, infra_id)
        return None

    def holder(self, infra_id: str) -> str | None:
        """Who holds the lease, for a message. Raises `NoSuchInfrastructureError`."""
        with self._database.reading() as connection:
            row = _row(connection, infra_id)
        return str(row.lease_holder) if row.lease_holder is not None else None

    def release(self, lease: Lease) -> None:
        """Give the lease back. Nothing happens where it is no longer ours."""
        table = tables.infrastructures
        with self._database.writing() as connection:
            connection.execute(
                table.update()
                .where(table.c.id == lease.infra_id, table.c.epoch == lease.epoch)
                .values(lease_holder=None, lease_expires=None)
            )

    @contextlib.contextmanager
    def changing(self, lease: Lease) -> Iterator[Change]:
        """One transaction of changes under a lease. Raises `LeaseLostError` before anything is written."""
        with self._database.writing() as connection:
            query = sa.select(tables.infrastructures.c.epoch, tables.infrastructures.c.wanted)
            row = connection.execute(
                query.where(tables.infrastructures.c.id == lease.infra_id).with_for_update()
            ).one_or_none()
            if row is None or row.epoch != lease.epoch:
                raise LeaseLostError(f"another process has taken over the infrastructure '{lease.infra_id}'")
            yield Change(connection, lease, wanted=row.wanted)


@dataclass(frozen=True, slots=True)
class Change:
    """What may be changed in one transaction under a lease. `wanted` is what somebody may have changed meanwhile."""

    _connection: sa.Connection
    _lease: Lease
    wanted: bool

    def renew(self, now: float) -> None:
        """Keep the lease for another `LEASE_SECONDS`."""
        self._update(lease_expires=now + LEASE_SECONDS)

    def put_candidate(self, candidate: Infrastructure | None, targets: Mapping[str, int]) -> None:
        """Begin (or give up) the way to another description, with the number of instances each node should have."""
        text = None if candidate is None else _infrastructure_text(candidate)
        self._update(candidate=text, targets=json.dumps(dict(targets)))

    def unwant(self) -> None:
        """Nothing of the infrastructure is wanted any more."""
        self._update(wanted=False)

    def settle(self, description: Infrastructure) -> None:
        """The build has succeeded: its description is in force and its instances stay."""
        self._update(name=description.name, description=_infrastructure_text(description), candidate=None)
        table = tables.instances
        self._connection.execute(
            table.update().where(table.c.infra_id == self._lease.infra_id).values(provisional=False)
        )

    def add_implementations(self, implementations: Iterable[Implementation]) -> None:
        """Keep what instances are about to be made by. Idempotent."""
        _add_implementations(self._connection, implementations)

    def add_instances(self, records: Sequence[InstanceRecord]) -> None:
        """Add rows."""
        if records:
            self._connection.execute(tables.instances.insert(), [_instance_row(record) for record in records])

    def put_instances(self, records: Sequence[InstanceRecord]) -> None:
        """Write rows that exist anew, but for what never changes and `provisional`, which is for `settle`."""
        if not records:
            return
        table = tables.instances
        columns = (
            "implementation",
            "connection",
            "fingerprint",
            "stage",
            "since",
            "created_at",
            "instance_id",
            "addresses",
            "reason",
        )
        statement = (
            table.update()
            .where(table.c.node_id == sa.bindparam("key"))
            .values({name: sa.bindparam(f"new_{name}") for name in columns})
        )
        rows = [_instance_row(record) for record in records]
        self._connection.execute(
            statement, [{"key": row["node_id"], **{f"new_{name}": row[name] for name in columns}} for row in rows]
        )

    def remove_instances(self, node_ids: Collection[str]) -> None:
        """Forget rows whose instances are gone. Idempotent."""
        for part in _chunks(sorted(node_ids)):
            self._connection.execute(tables.instances.delete().where(tables.instances.c.node_id.in_(part)))

    def remove_infrastructure(self) -> None:
        """Forget the infrastructure; all of its instances are gone."""
        infra_id = self._lease.infra_id
        self._connection.execute(tables.instances.delete().where(tables.instances.c.infra_id == infra_id))
        self._connection.execute(tables.infrastructures.delete().where(tables.infrastructures.c.id == infra_id))
        _forget_unused_implementations(self._connection)

    def _update(self, **values: Any) -> None:
        table = tables.infrastructures
        self._connection.execute(table.update().where(table.c.id == self._lease.infra_id).values(**values))


def _row(connection: sa.Connection, infra_id: str) -> Any:
    table = tables.infrastructures
    row = connection.execute(sa.select(table).where(table.c.id == infra_id)).one_or_none()
    if row is None:
        raise NoSuchInfrastructureError(infra_id)
    return row


def _add_implementations(connection: sa.Connection, implementations: Iterable[Implementation]) -> None:
    table = tables.implementations
    new = {implementation.digest: implementation for implementation in implementations}
    if new:
        _lock_implementations(connection)
    for part in _chunks(sorted(new)):
        known = set(connection.scalars(sa.select(table.c.digest).where(table.c.digest.in_(part))))
        rows = [
            {"digest": digest, "body": json.dumps(implementation_to_json(new[digest]))}
            for digest in part
            if digest not in known
        ]
        if rows:
            connection.execute(table.insert(), rows)


def _forget_unused_implementations(connection: sa.Connection) -> None:
    _lock_implementations(connection)
    digest = tables.implementations.c.digest
    users = (tables.definitions, tables.instances)
    unused = [~sa.exists().where(user.c.implementation == digest) for user in users]
    connection.execute(tables.implementations.delete().where(*unused))


def _lock_implementations(connection: sa.Connection) -> None:
    # One that nobody uses must not be forgotten while somebody else begins to use it. In SQLite one writes at a time.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE implementations IN SHARE ROW EXCLUSIVE MODE")


def _infrastructure(text: str | None) -> Infrastructure | None:
    return None if text is None else infrastructure_from_json(json.loads(text))


def _infrastructure_text(infrastructure: Infrastructure) -> str:
    return json.dumps(infrastructure_to_json(infrastructure))


def _instance(row: Any) -> InstanceRecord:
    values = {name: getattr(row, name) for name in InstanceRecord.__slots__}
    values["stage"] = Stage(row.stage)
    values["addresses"] = tuple(Address(value, AddressKind(kind)) for value, kind in json.loads(row.addresses))
    values["instance_id"] = None if row.instance_id is None else InstanceId(row.instance_id)
    return InstanceRecord(**values)


def _instance_row(record: InstanceRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in InstanceRecord.__slots__}
    row["stage"] = record.stage.value
    row["addresses"] = json.dumps([(address.value, address.kind.value) for address in record.addresses])
    # A provider may say what no database takes as text.
    row["reason"] = record.reason.replace("\0", "").encode(errors="replace").decode()
    return row


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]
