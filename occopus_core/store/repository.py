"""The store: node definitions, infrastructures, their instances, and the leases under which they change."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import sqlalchemy as sa

from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDefinition
from occopus_core.events import Event, EventKind
from occopus_core.store import tables
from occopus_core.store.change import LEASE_SECONDS, Change
from occopus_core.store.configurations import ConfigurationRows
from occopus_core.store.database import Database
from occopus_core.store.host_keys import HostKeyRows
from occopus_core.store.outbox import Outbox
from occopus_core.store.overview import Overview
from occopus_core.store.places import PlaceRows
from occopus_core.store.records import (
    InfrastructureRecord,
    InstanceRecord,
    Lease,
    LeaseLostError,
    NoSuchInfrastructureError,
    ScaleKind,
    ScaleRequest,
    StoredEvent,
    StoreError,
)
from occopus_core.store.revisions import RevisionRows, raise_revision
from occopus_core.store.row_conversion import (
    INFRASTRUCTURES,
    REQUESTS,
    add_implementations,
    chunks,
    event_of,
    event_row,
    forget_unused_implementations,
    implementation_of,
    infrastructure_row,
    instance_of,
    record_of,
    request_of,
)
from occopus_core.store.service import ServiceRows
from occopus_core.store.tokens import Tokens

IMPORT_AGAIN = "import the file it came from once more, or put a backup back"

MOST_EVENTS = 10_000
"""How many events of an infrastructure are kept whatever their age."""

EVENT_SECONDS = 30 * 24 * 3600.0
"""For how long every event is kept, however many there are: notifiers that are away may come back for it."""

EVENT_PORTION = 1000
"""How many are forgotten at a time, lest others wait to write."""

_FIRST_EPOCHS = 2**30


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
        self.configurations = ConfigurationRows(database)
        self.host_keys = HostKeyRows(database)
        self.outbox = Outbox(database)
        self.overview = Overview(database)
        self.places = PlaceRows(database)
        self.revisions = RevisionRows(database)
        self.service = ServiceRows(database)
        self.tokens = Tokens(database)
        self._reached: dict[Lease, int] = {}

    def close(self) -> None:
        """Let go of the connections. It can be used again afterwards."""
        self._database.close()

    # Node definitions

    def put_definitions(self, definitions: Collection[NodeDefinition]) -> None:
        """Add these node definitions, replacing those of the same names: all or none."""
        with self._database.writing() as connection:
            add_implementations(connection, [i for d in definitions for i in d.implementations])
            names = [definition.name for definition in definitions]
            for part in chunks(names):
                connection.execute(tables.definitions.delete().where(tables.definitions.c.name.in_(part)))
            rows = [
                {"name": definition.name, "position": position, "implementation": implementation.digest}
                for definition in definitions
                for position, implementation in enumerate(definition.implementations)
            ]
            if rows:
                connection.execute(tables.definitions.insert(), rows)
            forget_unused_implementations(connection)

    def definitions(self, names: Collection[str]) -> dict[str, NodeDefinition]:
        """Those of the named definitions that exist. Raises `StoreError` where a part of one is missing."""
        table, bodies = tables.definitions, tables.implementations
        found: dict[str, list[Implementation]] = {}
        with self._database.reading() as connection:
            for part in chunks(sorted(set(names))):
                query = (
                    sa.select(table.c.name, bodies.c.body)
                    .outerjoin(bodies, bodies.c.digest == table.c.implementation)
                    .where(table.c.name.in_(part))
                    .order_by(table.c.name, table.c.position)
                )
                for name, body in connection.execute(query):
                    if body is None:
                        raise StoreError(f"the node definition '{name}' in the store has lost a part: {IMPORT_AGAIN}")
                    found.setdefault(name, []).append(implementation_of(body))
        return {name: NodeDefinition(name, tuple(implementations)) for name, implementations in found.items()}

    def remove_definition(self, name: str) -> bool:
        """Forget a node definition; instances made by it stay. False where there is none of this name."""
        with self._database.writing() as connection:
            removed = connection.execute(tables.definitions.delete().where(tables.definitions.c.name == name))
            forget_unused_implementations(connection)
            return bool(removed.rowcount)

    def definition_names(self) -> list[str]:
        """The names of all node definitions."""
        with self._database.reading() as connection:
            return list(connection.scalars(sa.select(tables.definitions.c.name).distinct().order_by("name")))

    def implementations(self, digests: Collection[str]) -> dict[str, Implementation]:
        """Those of the implementations with these digests that are there."""
        table = tables.implementations
        found: dict[str, Implementation] = {}
        with self._database.reading() as connection:
            for part in chunks(sorted(set(digests))):
                for digest, body in connection.execute(
                    sa.select(table.c.digest, table.c.body).where(table.c.digest.in_(part))
                ):
                    found[digest] = implementation_of(body)
        return found

    def implementations_of(self, records: Collection[InstanceRecord]) -> dict[str, Implementation]:
        """What these instances are made by, by digest. Raises `StoreError` where one of them is missing."""
        found = self.implementations({record.implementation for record in records})
        for record in records:
            if record.implementation not in found:
                raise StoreError(
                    f"the node definition that instance '{record.node_id}' of node '{record.node_name}' was made by is "
                    f"not in the store any more: {IMPORT_AGAIN}"
                )
        return found

    # Infrastructures

    def add_infrastructure(
        self,
        infra_id: str,
        candidate: Infrastructure,
        targets: Mapping[str, int],
        holder: str | None,
        now: float,
        *,
        maintained: bool = False,
    ) -> Lease:
        """Record a new infrastructure that is about to be built, leased to `holder` from the first moment.

        Without a holder nobody has to wait for it: what is returned is over when somebody takes a lease. One that is
        `maintained` is for services to look after. Raises `InfrastructureTakenError`.
        """
        # An epoch never comes back for an id: whoever held one that is gone must not pass for the holder of the next.
        epoch = random.SystemRandom().randrange(1, _FIRST_EPOCHS)
        with self._database.writing() as connection:
            added = InfrastructureRecord(infra_id, None, candidate, wanted=True, created_at=now, targets=targets)
            row = tables.infrastructures.insert().values(
                **INFRASTRUCTURES.row(added),
                name=candidate.name,
                epoch=epoch,
                lease_holder=holder,
                lease_expires=None if holder is None else now + LEASE_SECONDS,
                maintained=maintained,
            )
            try:
                connection.execute(row)
            except sa.exc.IntegrityError:  # not looked for before: somebody may add it in between
                raise InfrastructureTakenError(infra_id) from None
            self.outbox.forget_subscribers(connection, infra_id)  # of an earlier one with this id
            created = Event(EventKind.INFRA_CREATED, infra_id, text=candidate.name)
            connection.execute(tables.events.insert(), [event_row(now, created)])
            revision = raise_revision(connection, [infra_id])
        lease = Lease(infra_id, holder or "", epoch)
        if holder is not None:
            self._reached[lease] = revision
        return lease

    def infrastructure(self, infra_id: str) -> InfrastructureRecord:
        """Raises `NoSuchInfrastructureError`."""
        with self._database.reading() as connection:
            row = infrastructure_row(connection, infra_id)
        return record_of(row)

    def instances(self, infra_id: str) -> list[InstanceRecord]:
        """The instances of an infrastructure, by node and position."""
        table = tables.instances
        query = sa.select(table).where(table.c.infra_id == infra_id).order_by(table.c.node_name, table.c.position)
        with self._database.reading() as connection:
            return [instance_of(row) for row in connection.execute(query)]

    def instances_by_token(self) -> dict[str, InstanceRecord]:
        """The instances of all infrastructures."""
        with self._database.reading() as connection:
            return {row.token: instance_of(row) for row in connection.execute(sa.select(tables.instances))}

    def request_destroy(self, infra_id: str) -> None:
        """Ask for the destruction of an infrastructure, whoever holds it. Raises `NoSuchInfrastructureError`."""
        table = tables.infrastructures
        with self._database.writing() as connection:
            result = connection.execute(table.update().where(table.c.id == infra_id).values(wanted=False))
            if not result.rowcount:
                raise NoSuchInfrastructureError(infra_id)
            raise_revision(connection, [infra_id])

    # Scaling requests and events

    def request_scaling(
        self, infra_id: str, node_name: str, kind: ScaleKind, amount: int, instance: str, now: float
    ) -> ScaleRequest:
        """Ask for more or fewer instances; a maintenance pass sees to it. Raises `NoSuchInfrastructureError`."""
        table = tables.scale_requests
        event = Event(EventKind.SCALE_REQUESTED, infra_id, node_name, text=_request_text(kind, amount, instance))
        request = ScaleRequest(0, infra_id, node_name, kind, amount, instance, now)
        with self._database.writing() as connection:
            infrastructure_row(connection, infra_id)
            key = connection.scalar(table.insert().values(REQUESTS.row(request)).returning(table.c.id))
            connection.execute(tables.events.insert(), [event_row(now, event)])
            raise_revision(connection, [infra_id])
        assert key is not None, "the database numbers requests"
        return replace(request, id=key)

    def pending_requests(self, infra_id: str) -> list[ScaleRequest]:
        """The scaling requests that have not been applied, in their order."""
        table = tables.scale_requests
        query = sa.select(table).where(table.c.infra_id == infra_id, table.c.applied_at.is_(None)).order_by(table.c.id)
        with self._database.reading() as connection:
            return [request_of(row) for row in connection.execute(query)]

    def events(self, infra_id: str, after: int = 0, most: int | None = None) -> list[StoredEvent]:
        """What has happened to an infrastructure since the event `after`, also when it is gone by now.

        With `most`, the oldest of that.
        """
        table = tables.events
        query = sa.select(table).where(table.c.infra_id == infra_id, table.c.id > after).order_by(table.c.id)
        query = query.limit(most)
        with self._database.reading() as connection:
            return [event_of(row) for row in connection.execute(query)]

    def forget_events(self, infra_id: str, now: float) -> bool:
        """Forget what is older than `EVENT_SECONDS`, but for the newest `MOST_EVENTS`; True where more is to go.

        Takes one look where there is nothing to forget. Idempotent; the ids of the others stay.
        """
        log = tables.events
        mine, old = log.c.infra_id == infra_id, log.c.at < now - EVENT_SECONDS
        oldest = sa.select(old).where(mine).order_by(log.c.id).limit(1)
        kept = sa.select(log.c.id).where(mine).order_by(log.c.id.desc()).offset(MOST_EVENTS - 1).limit(1)
        with self._database.reading() as connection:
            if not connection.scalar(oldest):
                return False
            before = log.c.id < kept.scalar_subquery()
            query = sa.select(log.c.id).where(mine, old, before).order_by(log.c.id).limit(EVENT_PORTION)
            going = list(connection.scalars(query))
        for part in chunks(going):
            with self._database.writing() as connection:
                connection.execute(log.delete().where(log.c.id.in_(part)))
        return len(going) == EVENT_PORTION

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
            .returning(table.c.epoch, table.c.revision)
        )
        with self._database.writing(brief=True) as connection:
            taken = connection.execute(take).one_or_none()
            if taken is None:
                infrastructure_row(connection, infra_id)
        if taken is None:
            return None
        lease = Lease(infra_id, holder, taken.epoch)
        self._reached[lease] = taken.revision
        return lease

    def reached(self, lease: Lease) -> int:
        """The revision up to which all changes since the lease was taken were made under it.

        Where another process has recorded a request meanwhile, it stays below that. Call it before `release`.
        """
        return self._reached.get(lease, -1)

    def holder(self, infra_id: str) -> str | None:
        """Who holds the lease, for a message. Raises `NoSuchInfrastructureError`."""
        with self._database.reading() as connection:
            row = infrastructure_row(connection, infra_id)
        return str(row.lease_holder) if row.lease_holder is not None else None

    def lease_end(self, infra_id: str) -> float | None:
        """When the lease runs out, in seconds since 1970; None where nobody has it. Each renewal changes it.

        Raises `NoSuchInfrastructureError`.
        """
        with self._database.reading() as connection:
            end: float | None = infrastructure_row(connection, infra_id).lease_expires
        return end

    def catch_up(self, lease: Lease, revision: int) -> None:
        """Whoever has the lease has read all that had changed up to a revision. See `reached`."""
        if lease in self._reached:
            self._reached[lease] = revision

    def release(self, lease: Lease) -> None:
        """Give the lease back. Nothing happens where it is no longer ours."""
        self._reached.pop(lease, None)
        table = tables.infrastructures
        with self._database.writing(brief=True) as connection:
            connection.execute(
                table.update()
                .where(table.c.id == lease.infra_id, table.c.epoch == lease.epoch)
                .values(lease_holder=None, lease_expires=None)
            )

    @contextlib.contextmanager
    def changing(self, lease: Lease, *, brief: bool = False) -> Iterator[Change]:
        """One transaction of changes under a lease. Raises `LeaseLostError` before anything is written.

        `brief` is for one that only renews the lease, see `Database.writing`.
        """
        then: list[Callable[[], None]] = []
        with self._database.writing(brief=brief) as connection:
            table = tables.infrastructures
            query = sa.select(table.c.epoch, table.c.wanted, table.c.revision)
            row = connection.execute(query.where(table.c.id == lease.infra_id).with_for_update()).one_or_none()
            if row is None or row.epoch != lease.epoch:
                raise LeaseLostError(f"another process has taken over the infrastructure '{lease.infra_id}'")
            yield Change(connection, lease, then, wanted=row.wanted)
            revision = row.revision if brief else raise_revision(connection, [lease.infra_id])
        if self._reached.get(lease) == row.revision:
            self._reached[lease] = revision
        for action in then:
            action()


def _request_text(kind: ScaleKind, amount: int, instance: str) -> str:
    wanted = f"to {amount}" if kind is ScaleKind.SET else f"by {amount:+d}"
    return f"{wanted}, {instance} goes" if instance else wanted
