"""The store: node definitions, infrastructures, their instances, and the leases under which they change."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import sqlalchemy as sa

from occopus_core.api.resource import InstanceId
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDefinition
from occopus_core.events import Event, EventKind
from occopus_core.store import tables
from occopus_core.store.change import LEASE_SECONDS, Change
from occopus_core.store.configurations import ConfigurationRows
from occopus_core.store.database import Database
from occopus_core.store.definition_uses import DefinitionUses, defined_types
from occopus_core.store.gone import GoneRows
from occopus_core.store.host_keys import HostKeyRows
from occopus_core.store.looks import LookRows
from occopus_core.store.maintainers import MaintainerRows
from occopus_core.store.outbox import Outbox
from occopus_core.store.overview import Overview
from occopus_core.store.places import PlaceRows
from occopus_core.store.records import (
    NO_END,
    SHORTEST_BEGINNING,
    AmbiguousNameError,
    Holding,
    InfrastructureRecord,
    InstanceRecord,
    Lease,
    LeaseLostError,
    LifeTime,
    NoSuchInfrastructureError,
    ScaleKind,
    ScaleRequest,
    StoredEvent,
    StoreError,
    is_made,
)
from occopus_core.store.revisions import RevisionRows, lock_infrastructures, raise_revision
from occopus_core.store.row_conversion import (
    INFRASTRUCTURES,
    REQUESTS,
    chunks,
    event_of,
    event_row,
    forget_unused_implementations,
    implementation_of,
    infrastructure_row,
    instance_of,
    lock_definitions,
    moment,
    put_definitions,
    record_of,
    request_of,
    understood,
)
from occopus_core.store.service import ServiceRows
from occopus_core.store.tokens import Tokens
from occopus_core.store.updates import UpdateRows

IMPORT_AGAIN = "import its file again, or restore a backup"

MOST_EVENTS = 10_000
"""How many events of an infrastructure are kept, whatever their age."""

EVENT_SECONDS = 30 * 24 * 3600.0
"""How long every event is kept, whatever their number: notifiers that are down may need it later."""

EVENT_PORTION = 1000
"""How many events are removed at a time, so that other writers do not wait."""

_FIRST_EPOCHS = 2**30


class InfrastructureTakenError(Exception):
    """Another infrastructure already has this id."""

    def __init__(self, infra_id: str) -> None:
        super().__init__(f"an infrastructure with the id '{infra_id}' exists already")
        self.infra_id = infra_id


class Store:
    """The store. Reads see one consistent state; infrastructures are changed through `changing`, under a lease."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.installation = database.installation
        self.configurations = ConfigurationRows(database)
        self.definition_uses = DefinitionUses(database)
        self.gone = GoneRows(database)
        self.host_keys = HostKeyRows(database)
        self.looks = LookRows(database)
        self.maintainers = MaintainerRows(database)
        self.outbox = Outbox(database)
        self.overview = Overview(database)
        self.places = PlaceRows(database)
        self.revisions = RevisionRows(database)
        self.service = ServiceRows(database)
        self.tokens = Tokens(database)
        self.updates = UpdateRows(database)
        self._reached: dict[Lease, int] = {}

    def close(self) -> None:
        """Close the connections. The store can be used again afterwards."""
        self._database.close()

    # Node definitions

    def put_definitions(self, definitions: Collection[NodeDefinition]) -> None:
        """Add these node definitions or replace those of the same names, in one transaction."""
        with self._database.writing() as connection:
            put_definitions(connection, definitions)

    def definitions(self, names: Collection[str]) -> dict[str, NodeDefinition]:
        """The named definitions, as far as they exist. Raises `StoreError` if a part of one is missing."""
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
        """Remove a node definition; instances made by it stay. False if it does not exist."""
        with self._database.writing() as connection:
            lock_definitions(connection)
            removed = connection.execute(tables.definitions.delete().where(tables.definitions.c.name == name))
            forget_unused_implementations(connection)
            return bool(removed.rowcount)

    def definition_names(self) -> list[str]:
        """The names of all node definitions."""
        with self._database.reading() as connection:
            return list(connection.scalars(sa.select(tables.definitions.c.name).distinct().order_by("name")))

    def implementations(self, digests: Collection[str]) -> dict[str, Implementation]:
        """The implementations with these digests, as far as they exist."""
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
        """The implementations of these instances, by digest. Raises `StoreError` if one is missing."""
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
        life_time: LifeTime = NO_END,
        definitions: Mapping[str, NodeDefinition] | None = None,
        check_types: Callable[[Collection[str]], None] | None = None,
    ) -> Lease:
        """Record a new infrastructure to be built, leased to `holder` from the start.

        Without a holder, the returned lease has already expired, so that any process can take it. Services look after
        an infrastructure that is `maintained`. It is destroyed at the end of its `life_time`. Its build takes the node
        `definitions`, by name, in place of stored ones.
        `check_types` is called in the transaction with the types of its nodes that have a definition, and may raise.
        Raises `InfrastructureTakenError`.
        """
        # Epochs of an id are never repeated, so that a lease of a former infrastructure is not valid for the next.
        epoch = random.SystemRandom().randrange(1, _FIRST_EPOCHS)
        with self._database.writing() as connection:
            added = InfrastructureRecord(
                infra_id,
                None,
                candidate,
                wanted=True,
                created_at=now,
                targets=targets,
                expires_at=life_time.expires_at,
                warns_at=life_time.warns_at,
                candidate_definitions=definitions or {},
            )
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
            except sa.exc.IntegrityError:  # no query before: another process may add it in between
                raise InfrastructureTakenError(infra_id) from None
            if check_types is not None:
                check_types({*(definitions or ()), *defined_types(connection, candidate)})
            self.outbox.forget_subscribers(connection, infra_id)  # of an earlier infrastructure with this id
            created = Event(EventKind.INFRA_CREATED, infra_id, text=candidate.name)
            connection.execute(tables.events.insert(), [event_row(now, created)])
            revision = raise_revision(connection, [infra_id])
        lease = Lease(infra_id, holder or "", epoch)
        if holder is not None:
            self._reached[lease] = revision
        return lease

    def infrastructure(self, infra_id: str) -> InfrastructureRecord:
        """The record of an infrastructure. Raises `NoSuchInfrastructureError`."""
        with self._database.reading() as connection:
            row = infrastructure_row(connection, infra_id)
        return record_of(row)

    def meant(self, text: str) -> str | None:
        """The id of the infrastructure with this id, this name, or an id with this beginning; None without one.

        An id takes precedence over a name, and a name over the beginning of an id. Only ids that Occopus has generated
        are recognised by their beginning, of at least `SHORTEST_BEGINNING` characters. Raises `AmbiguousNameError`.
        """
        if not text.isascii() or not text:  # neither an id nor a name
            return None
        table = tables.infrastructures
        alike = sa.or_(table.c.name == text, table.c.id.startswith(text, autoescape=True))
        query = sa.select(table.c.id, table.c.name).where(alike).order_by(table.c.created_at, table.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        named = [row.id for row in rows if row.name == text]
        long = len(text) >= SHORTEST_BEGINNING
        begun = [row.id for row in rows if long and row.id.startswith(text) and is_made(row.id)]
        ids = [text] if any(row.id == text for row in rows) else named or begun
        if len(ids) > 1:
            raise AmbiguousNameError(text, ids)
        return ids[0] if ids else None

    def instances(self, infra_id: str) -> list[InstanceRecord]:
        """The instances of an infrastructure, by node and position."""
        table = tables.instances
        query = sa.select(table).where(table.c.infra_id == infra_id).order_by(table.c.node_name, table.c.position)
        with self._database.reading() as connection:
            return [instance_of(row) for row in connection.execute(query)]

    def instances_by_token(self) -> dict[str, InstanceRecord]:
        """The instances of all infrastructures, by token."""
        with self._database.reading() as connection:
            return {row.token: instance_of(row) for row in connection.execute(sa.select(tables.instances))}

    def instances_by_id(self, ids: Collection[InstanceId]) -> list[InstanceRecord]:
        """The instances of all infrastructures that have one of these ids at their provider."""
        table, found = tables.instances, list[InstanceRecord]()
        with self._database.reading() as connection:
            for part in chunks(sorted(ids)):
                query = sa.select(table).where(table.c.instance_id.in_(part))
                found += [instance_of(row) for row in connection.execute(query)]
        return found

    def request_destroy(self, infra_id: str) -> None:
        """Request the destruction of an infrastructure, also in the place of a rollback; needs no lease.

        Raises `NoSuchInfrastructureError`.
        """
        table, values = tables.infrastructures, INFRASTRUCTURES.encode({"wanted": False, "rolling_back": ""})
        with self._database.writing() as connection:
            result = connection.execute(table.update().where(table.c.id == infra_id).values(values))
            if not result.rowcount:
                raise NoSuchInfrastructureError(infra_id)
            raise_revision(connection, [infra_id])

    def put_life_time(self, infra_id: str, life_time: LifeTime, event: Event, now: float) -> None:
        """Move the end of an infrastructure, also of one that is leased. Raises `NoSuchInfrastructureError`."""
        table = tables.infrastructures
        moved = {"expires_at": life_time.expires_at, "warns_at": life_time.warns_at}
        with self._database.writing() as connection:
            if not connection.execute(table.update().where(table.c.id == infra_id).values(moved)).rowcount:
                raise NoSuchInfrastructureError(infra_id)
            connection.execute(tables.events.insert(), [event_row(now, event)])
            raise_revision(connection, [infra_id])

    # Scaling requests and events

    def request_scaling(
        self, infra_id: str, node_name: str, kind: ScaleKind, amount: int, instance: str, now: float
    ) -> ScaleRequest:
        """Request more, fewer or other instances; a pass applies it. Raises `NoSuchInfrastructureError`."""
        table = tables.scale_requests
        event = Event(EventKind.SCALE_REQUESTED, infra_id, node_name, text=_request_text(kind, amount, instance))
        if kind is ScaleKind.REPLACE:
            event = Event(EventKind.REPLACEMENT_REQUESTED, infra_id, node_name)
        request = ScaleRequest(0, infra_id, node_name, kind, amount, instance, now)
        with self._database.writing() as connection:
            if not lock_infrastructures(connection, [infra_id]):
                raise NoSuchInfrastructureError(infra_id)
            key = connection.scalar(table.insert().values(REQUESTS.row(request)).returning(table.c.id))
            connection.execute(tables.events.insert(), [event_row(now, event)])
            raise_revision(connection, [infra_id])
        assert key is not None, "the database numbers requests"
        return replace(request, id=key)

    def pending_requests(self, infra_id: str) -> list[ScaleRequest]:
        """The requests for more, fewer or other instances that have not been applied, in their order."""
        table = tables.scale_requests
        query = sa.select(table).where(table.c.infra_id == infra_id, table.c.applied_at.is_(None)).order_by(table.c.id)
        with self._database.reading() as connection:
            return [request_of(row) for row in connection.execute(query)]

    def events(self, infra_id: str, after: int = 0, most: int | None = None) -> list[StoredEvent]:
        """The events of an infrastructure after the event `after`, even if it is gone.

        With `most`, at most that many, from the oldest on.
        """
        table = tables.events
        query = sa.select(table).where(table.c.infra_id == infra_id, table.c.id > after).order_by(table.c.id)
        query = query.limit(most)
        with self._database.reading() as connection:
            return [event_of(row) for row in connection.execute(query)]

    def forget_events(self, infra_id: str, now: float) -> bool:
        """Remove events older than `EVENT_SECONDS`, except the newest `MOST_EVENTS`; True if more remain to be removed.

        Makes one query if there are none. Idempotent; the ids of other events do not change.
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
        """Take the lease of the infrastructure; None while another holder's lease lasts.

        Raises `NoSuchInfrastructureError`.
        """
        table = tables.infrastructures
        free = sa.or_(table.c.lease_holder.is_(None), table.c.lease_expires <= now)
        # One statement, so that only one of two concurrent processes gets it.
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

        It is lower than a request that another process has recorded meanwhile. Call it before `release`.
        """
        return self._reached.get(lease, -1)

    def holding(self, infra_id: str) -> Holding | None:
        """The lease, for a message; None if it is free. Raises `NoSuchInfrastructureError`, `StoreError`."""
        with self._database.reading() as connection:
            row = infrastructure_row(connection, infra_id)
        with understood(f"the infrastructure '{infra_id}'"):
            return None if row.lease_holder is None else Holding(str(row.lease_holder), moment(row.lease_expires))

    def lease_end(self, infra_id: str) -> float | None:
        """When the lease expires, in seconds since 1970; None if it is free. Each renewal changes it.

        Raises `NoSuchInfrastructureError`.
        """
        with self._database.reading() as connection:
            end: float | None = infrastructure_row(connection, infra_id).lease_expires
        return end

    def await_lease(self, infra_id: str, until: float | None) -> None:
        """Record until when (seconds since 1970) a build waits for the lease; None if it no longer waits.

        The process that holds the lease is notified as of every change. Has no effect if the infrastructure is gone.
        """
        table = tables.infrastructures
        with self._database.writing() as connection:
            connection.execute(table.update().where(table.c.id == infra_id).values(awaited_until=until))
            raise_revision(connection, [infra_id])

    def catch_up(self, lease: Lease, revision: int) -> None:
        """Record that the holder of the lease has read all changes up to a revision. See `reached`."""
        if lease in self._reached:
            self._reached[lease] = revision

    def release(self, lease: Lease) -> None:
        """Release the lease. Has no effect if this process has lost it."""
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

        `brief` is for a transaction that only renews the lease, see `Database.writing`.
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
