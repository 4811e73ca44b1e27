"""What a process may change of the infrastructure it holds the lease of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from occopus_core.descriptions.model import Implementation, Infrastructure
from occopus_core.events import Event
from occopus_core.store import tables
from occopus_core.store.configurations import (
    ConfigurationRecord,
    Key,
    leave_configurations,
    put_configurations,
    remove_configurations,
)
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
    leave_places,
)

LEASE_SECONDS = 15.0
"""How long a lease lasts without being renewed: what a killed process keeps others waiting."""


SKEW_SECONDS = 5.0
"""How far the clocks of the hosts that share a store may be apart."""


@dataclass(frozen=True, slots=True)
class Change:
    """What may be changed in one transaction under a lease. `wanted` is what somebody may have changed meanwhile."""

    _connection: sa.Connection
    _lease: Lease
    _then: list[Callable[[], None]]
    wanted: bool

    def then(self, action: Callable[[], None]) -> None:
        """Do this once the change is committed, when it keeps nobody from writing any more."""
        self._then.append(action)

    def renew(self, now: float) -> None:
        """Keep the lease for another `LEASE_SECONDS`."""
        self._update(lease_expires=now + LEASE_SECONDS)

    def put_candidate(self, candidate: Infrastructure | None) -> None:
        """Begin (or give up) the way to another description."""
        self._put(candidate=candidate)

    def put_targets(self, targets: Mapping[str, int]) -> None:
        """How many instances each node should have."""
        self._put(targets=targets)

    def put_setbacks(self, setbacks: Mapping[str, Setback]) -> None:
        """What has failed of late, by node."""
        self._put(setbacks=setbacks)

    def put_frozen(self, reason: str) -> None:
        """Why nothing is healed; empty when it is again."""
        self._put(frozen=reason)

    def condemn(self, node_ids: Collection[str]) -> None:
        """Note that these instances were chosen to go."""
        table = tables.instances
        for part in chunks(sorted(node_ids)):
            self._connection.execute(table.update().where(table.c.node_id.in_(part)).values(condemned=True))

    def answer_requests(self, results: Mapping[int, str], now: float) -> None:
        """These scaling requests have been applied, with these results; nobody will apply them again."""
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
        """Append to the log: each with when it happened, in seconds since 1970."""
        if events:
            self._connection.execute(tables.events.insert(), [event_row(at, event) for at, event in events])

    def request_destroy(self) -> None:
        """Nothing of the infrastructure is wanted any more."""
        self._put(wanted=False)

    def finish_build(self, description: Infrastructure, targets: Mapping[str, int]) -> None:
        """The build has succeeded: its description is in force and its instances stay."""
        self._update(name=description.name)
        self._put(description=description, candidate=None, targets=targets)
        table = tables.instances
        self._connection.execute(
            table.update().where(table.c.infra_id == self._lease.infra_id).values(provisional=False)
        )

    def add_implementations(self, implementations: Iterable[Implementation]) -> None:
        """Keep what instances are about to be made by. Idempotent."""
        add_implementations(self._connection, implementations)

    def add_instances(self, records: Sequence[InstanceRecord]) -> None:
        """Add rows."""
        if records:
            self._remember_places(records)
            self._connection.execute(tables.instances.insert(), [INSTANCES.row(record) for record in records])

    def put_instances(self, records: Sequence[InstanceRecord]) -> None:
        """Update rows: every field but those that `INSTANCES` names as fixed."""
        self._remember_places(records)
        INSTANCES.update(self._connection, "node_id", records)

    def _remember_places(self, records: Sequence[InstanceRecord]) -> None:
        """Where an instance is about to be made is known for as long as the store lasts."""
        creating = [record for record in records if record.stage is Stage.CREATING]
        add_places(
            self._connection, self._lease.infra_id, [(each.implementation, each.connection) for each in creating]
        )

    def remove_instances(self, node_ids: Collection[str]) -> None:
        """Forget rows whose instances are gone. Idempotent."""
        for part in chunks(sorted(node_ids)):
            remove_host_keys(self._connection, part)
            self._connection.execute(tables.instances.delete().where(tables.instances.c.node_id.in_(part)))

    def offer_host_keys(self, keys: Mapping[str, str]) -> None:
        """Let instances, by node id, show keys that were generated for them. Idempotent."""
        for node_id, key in keys.items():
            offer_host_key(self._connection, node_id, key)

    def put_configurations(self, records: Sequence[ConfigurationRecord]) -> None:
        """Add or replace what configuration managers hold for instances. Idempotent."""
        put_configurations(self._connection, records)

    def remove_configurations(self, keys: Collection[Key]) -> None:
        """Forget rows of which the managers hold nothing any more. Idempotent."""
        remove_configurations(self._connection, keys)

    def remove_infrastructure(self, now: float = 0.0) -> None:
        """Forget the infrastructure; all of its instances are gone. `now` is in seconds since 1970."""
        infra_id = self._lease.infra_id
        leave_configurations(self._connection, infra_id, now)
        here = sa.select(tables.instances.c.node_id).where(tables.instances.c.infra_id == infra_id)
        self._connection.execute(tables.host_keys.delete().where(tables.host_keys.c.node_id.in_(here)))
        for table in (tables.instances, tables.scale_requests):
            self._connection.execute(table.delete().where(table.c.infra_id == infra_id))
        self._connection.execute(tables.infrastructures.delete().where(tables.infrastructures.c.id == infra_id))
        leave_places(self._connection, infra_id)
        forget_unused_implementations(self._connection)

    def _put(self, **fields: Any) -> None:
        """Write these fields of the record."""
        self._update(**INFRASTRUCTURES.encode(fields))

    def _update(self, **values: Any) -> None:
        table = tables.infrastructures
        self._connection.execute(table.update().where(table.c.id == self._lease.infra_id).values(**values))
