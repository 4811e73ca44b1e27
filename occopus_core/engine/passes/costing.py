"""What instances have cost so far, as their providers say."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from occopus_core.api.errors import ProviderError
from occopus_core.api.resource import InstanceId, ResourceHandler
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.guard import mapping_of, wrong_answer
from occopus_core.registry import PluginError
from occopus_core.store.records import InstanceRecord
from occopus_core.store.repository import Store

MOST_COST = Decimal(10**15)
"""No instance costs as much."""

Costs = dict[str, dict[str, Decimal | None]]
"""By node and node id; None where the cost is unknown."""


def costs(
    connections: Connections,
    store: Store,
    records: Sequence[InstanceRecord],
    tell: Callable[[str], object] | None = None,
) -> Costs:
    """The costs that providers report. With `tell`, which gets the message, an error of one makes its costs unknown.

    Raises `StoreError`; without `tell` also `ProviderError`, `PluginError`.
    """
    implementations = store.implementations_of(records)
    groups: dict[tuple[str, str], list[InstanceId]] = {}
    for record in records:
        if record.instance_id is not None and record.connection:
            groups.setdefault((record.implementation, record.connection), []).append(record.instance_id)
    known: dict[InstanceId, Decimal | None] = {}
    for (digest, connection), ids in groups.items():
        try:
            handler = connections.resource(implementations[digest], connection).plugin
            known.update(_asked(handler, ids))
        except (ProviderError, PluginError) as error:
            if tell is None:
                raise
            tell(connections.redact(str(error)))
    found: Costs = {}
    for record in records:
        cost = known.get(record.instance_id) if record.instance_id is not None else None
        found.setdefault(record.node_name, {})[record.node_id] = cost
    return found


def _asked(handler: ResourceHandler, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Decimal | None]:
    """The answer for these instances. Raises `ProviderError`."""
    answer = mapping_of(handler, "cost", handler.cost(ids))
    if lacking := [id for id in ids if id not in answer]:
        raise wrong_answer(handler, "cost", f"left out '{lacking[0]}'")
    known = {id: answer[id] for id in ids}
    for cost in known.values():
        if not isinstance(cost, Decimal | None):
            raise wrong_answer(handler, "cost", "did not answer a Decimal or None for each id")
        if cost is not None and not (cost.is_finite() and -MOST_COST < cost < MOST_COST):
            raise wrong_answer(
                handler, "cost", f"answered {reprlib.repr(cost)}, expected an amount below {MOST_COST:g}"
            )
    return known
