"""Changes that a process may make to an infrastructure while it holds its lease."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import sqlalchemy as sa

from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDefinition
from occopus_core.descriptions.text import same_description
from occopus_core.events import Event
from occopus_core.store import tables
from occopus_core.store.configurations import (
    ConfigurationRecord,
    Key,
    leave_configurations,
    put_configurations,
    remove_configurations,
)
from occopus_core.store.definition_uses import defined_types
from occopus_core.store.host_keys import offer_host_key, remove_host_keys
from occopus_core.store.records import InstanceRecord, Lease, Setback, Stage
from occopus_core.store.row_conversion import (
    INFRASTRUCTURES,
    INSTANCES,
    add_implementations,
    add_places,
    chunks,
    event_row,
    forget_unused_implementations,
    infrastructure_row,
    leave_places,
    put_definitions,
    record_of,
)

LEASE_SECONDS = 15.0
"""How long a lease lasts without renewal, and so how long a killed process keeps others waiting."""


SKEW_SECONDS = 5.0
"""The largest difference between the clocks of hosts that share a store."""

PlaceKey: TypeAlias = tuple[str, str]
"""The digest of an implementation, and its connection settings as canonical JSON."""


def place_of(record: InstanceRecord) -> PlaceKey:
    """The place where an instance is, or is to be."""
    return record.implementation, record.connection


@dataclass(frozen=True, slots=True)
class Change:
    """The changes of one transaction under a lease. `wanted`: read in it, as any process may request destruction."""

    _connection: sa.Connection
    _lease: Lease
    _then: list[Callable[[], None]]
    wanted: bool
    new_places: set[PlaceKey] = field(default_factory=set)
    """The places that it records and that the infrastructure has not used before."""

    def then(self, action: Callable[[], None]) -> None:
        """Run this after the commit, when the transaction blocks no other writer any more."""
        self._then.append(action)

    def renew(self, now: float) -> None:
        """Renew the lease for `LEASE_SECONDS`."""
        self._update(lease_expires=now + LEASE_SECONDS)

    def put_candidate(
        self, candidate: Infrastructure | None, definitions: Mapping[str, NodeDefinition] | None = None
    ) -> None:
        """Set the description that a build is working towards, None for no build, and the build's node `definitions`.

        Ends a rollback.
        """
        self._put(candidate=candidate, candidate_definitions=definitions or {}, rolling_back="")

    def replace_candidate(
        self,
        candidate: Infrastructure | None,
        known: Infrastructure | None,
        definitions: Mapping[str, NodeDefinition] | None = None,
    ) -> bool:
        """The same, in place of the `known` description.

        False, and without effect, if another one has been requested in the meantime.
        """
        row = infrastructure_row(self._connection, self._lease.infra_id)
        if not same_description(record_of(row).candidate, known):
            return False
        self.put_candidate(candidate, definitions)
        return True

    def put_definitions(self, definitions: Collection[NodeDefinition]) -> None:
        """Add these node definitions or replace those of the same names. Idempotent."""
        put_definitions(self._connection, definitions)

    def roll_back(self, candidate: Infrastructure | None, reason: str) -> None:
        """Record that the build of this description is being rolled back; None for a build without a new one.

        Without effect if another description, or destruction, has been requested in the meantime.
        """
        row = infrastructure_row(self._connection, self._lease.infra_id)
        if self.wanted and same_description(record_of(row).candidate, candidate):
            self._put(rolling_back=reason)

    def defined_types(self, infrastructure: Infrastructure) -> set[str]:
        """The types of its nodes that have a definition, which stays until the end of the transaction."""
        return defined_types(self._connection, infrastructure)

    def put_targets(self, targets: Mapping[str, int]) -> None:
        """Set the wanted number of instances of each node."""
        self._put(targets=targets)

    def put_setbacks(self, setbacks: Mapping[str, Setback]) -> None:
        """Set the recent failures, by node name."""
        self._put(setbacks=setbacks)

    def put_undefined(self, reasons: Mapping[str, str]) -> None:
        """Set why nodes have no usable definition, by node name."""
        self._put(undefined=reasons)

    def put_frozen(self, reason: str) -> None:
        """Set the reason why healing is frozen; empty if it is not."""
        self._put(frozen=reason)

    def condemn(self, node_ids: Collection[str]) -> None:
        """Mark these instances for removal."""
        table = tables.instances
        for part in chunks(sorted(node_ids)):
            self._connection.execute(table.update().where(table.c.node_id.in_(part)).values(condemned=True))

    def answer_requests(self, results: Mapping[int, str], now: float) -> None:
        """Store the results of applied scaling requests, which are not applied again."""
        table = tables.scale_requests
        statement = table.update().where(table.c.id == sa.bindparam("key"))
        rows = [{"key": id, "new_result": result, "new_applied_at": now} for id, result in results.items()]
        if rows:
            values: dict[str, Any] = {
                "result": sa.bindparam("new_result"),
                "applied_at": sa.bindparam("new_applied_at"),
            }
            self._connection.execute(statement.values(values), rows)

    def add_events(self, events: Sequence[tuple[float, Event]]) -> None:
        """Append events to the log, each with its time in seconds since 1970."""
        if events:
            self._connection.execute(tables.events.insert(), [event_row(at, event) for at, event in events])

    def put_life_time(self, expires_at: float | None, warns_at: float | None) -> None:
        """Set the end of the infrastructure, and the time of its warning (seconds since 1970)."""
        self._put(expires_at=expires_at, warns_at=warns_at)

    def request_destroy(self) -> None:
        """Request the destruction of the infrastructure, also in the place of a rollback."""
        self._put(wanted=False, rolling_back="")

    def finish_build(self, description: Infrastructure, targets: Mapping[str, int]) -> None:
        """The build has succeeded: put its description in force and keep its instances.

        If another description was requested in the meantime, that request stays.
        """
        record = record_of(infrastructure_row(self._connection, self._lease.infra_id))
        self._update(name=description.name)
        self._put(description=description, targets=targets, undefined={})
        if record.description is None or same_description(record.candidate, description):
            self.put_candidate(None)
        self.keep_instances()

    def keep_instances(self) -> None:
        """A build has succeeded: none of the present instances is provisional any more."""
        table = tables.instances
        self._connection.execute(
            table.update().where(table.c.infra_id == self._lease.infra_id).values(provisional=False)
        )

    def add_implementations(self, implementations: Iterable[Implementation]) -> None:
        """Store implementations before instances refer to them. Idempotent."""
        add_implementations(self._connection, implementations)

    def add_instances(self, records: Sequence[InstanceRecord]) -> None:
        """Add rows of instances."""
        if records:
            self._remember_places(records)
            self._connection.execute(tables.instances.insert(), [INSTANCES.row(record) for record in records])

    def put_instances(self, records: Sequence[InstanceRecord]) -> None:
        """Update rows: every field except those that `INSTANCES` names as fixed."""
        self._remember_places(records)
        INSTANCES.update(self._connection, "node_id", records)

    def _remember_places(self, records: Sequence[InstanceRecord]) -> None:
        """Record the connections of these instances for as long as the store exists."""
        creating = [place_of(record) for record in records if record.stage is Stage.CREATING]
        self.new_places.update(add_places(self._connection, self._lease.infra_id, creating))

    def forget_places(self, places: Collection[PlaceKey]) -> None:
        """Remove places of the infrastructure where it has made nothing, unless it has instances there."""
        table, instances = tables.places, tables.instances
        used = sa.exists().where(
            instances.c.infra_id == table.c.infra_id,
            instances.c.implementation == table.c.implementation,
            instances.c.connection == table.c.connection,
        )
        for digest, settings in sorted(places):
            here = (table.c.implementation == digest, table.c.connection == settings)
            mine = table.c.infra_id == self._lease.infra_id
            self._connection.execute(table.delete().where(mine, *here, ~used))

    def remove_instances(self, node_ids: Collection[str]) -> None:
        """Remove the rows of instances that are gone. Idempotent."""
        for part in chunks(sorted(node_ids)):
            remove_host_keys(self._connection, part)
            self._connection.execute(tables.instances.delete().where(tables.instances.c.node_id.in_(part)))

    def offer_host_keys(self, keys: Mapping[str, str]) -> None:
        """Accept host keys that were generated for instances, by node id. Idempotent."""
        for node_id, key in keys.items():
            offer_host_key(self._connection, node_id, key)

    def put_configurations(self, records: Sequence[ConfigurationRecord]) -> None:
        """Add or replace the configuration records of instances. Idempotent."""
        put_configurations(self._connection, records)

    def remove_configurations(self, keys: Collection[Key]) -> None:
        """Remove rows whose data the managers have deleted. Idempotent."""
        remove_configurations(self._connection, keys)

    def remove_infrastructure(self, now: float = 0.0) -> None:
        """Remove the infrastructure, whose instances are all gone. `now` is in seconds since 1970."""
        infra_id = self._lease.infra_id
        leave_configurations(self._connection, infra_id, now)
        here = sa.select(tables.instances.c.node_id).where(tables.instances.c.infra_id == infra_id)
        self._connection.execute(tables.host_keys.delete().where(tables.host_keys.c.node_id.in_(here)))
        for table in (tables.instances, tables.scale_requests):
            self._connection.execute(table.delete().where(table.c.infra_id == infra_id))
        self._connection.execute(tables.infrastructures.delete().where(tables.infrastructures.c.id == infra_id))
        leave_places(self._connection, infra_id)
        self._connection.execute(tables.maintained_by.delete().where(tables.maintained_by.c.infra_id == infra_id))
        forget_unused_implementations(self._connection)

    def _put(self, **fields: Any) -> None:
        """Write these fields of the infrastructure's row."""
        self._update(**INFRASTRUCTURES.encode(fields))

    def _update(self, **values: Any) -> None:
        table = tables.infrastructures
        self._connection.execute(table.update().where(table.c.id == self._lease.infra_id).values(**values))
