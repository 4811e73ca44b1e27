"""The cost of instances so far, as their providers report it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from occopus_core.api.resource import InstanceId
from occopus_core.engine.kernel.connections import Connections
from occopus_core.store.records import InstanceRecord
from occopus_core.store.repository import Store


def costs(connections: Connections, store: Store, records: Sequence[InstanceRecord]) -> dict[str, dict[str, Decimal]]:
    """By node name and node id; 0 if a provider reports none. Raises `ProviderError`, `StoreError`."""
    implementations = store.implementations_of(records)
    groups: dict[tuple[str, str], list[InstanceId]] = {}
    for record in records:
        if record.instance_id is not None and record.connection:
            groups.setdefault((record.implementation, record.connection), []).append(record.instance_id)
    known: dict[InstanceId, Decimal | None] = {}
    for (digest, connection), ids in groups.items():
        known.update(connections.resource(implementations[digest], connection).plugin.cost(ids))
    found: dict[str, dict[str, Decimal]] = {}
    for record in records:
        cost = known.get(record.instance_id) if record.instance_id is not None else None
        found.setdefault(record.node_name, {})[record.node_id] = cost or Decimal(0)
    return found
