"""Checks which nodes can be scaled, and computes the result of a scaling request."""

from __future__ import annotations

from occopus_core.engine.passes.building import refuse_unwanted
from occopus_core.engine.planning.scaling import Answer, scale, targets_of
from occopus_core.manager.errors import NoSuchNodeError
from occopus_core.store.records import InfrastructureRecord, ScaleKind, ScaleRequest
from occopus_core.store.repository import Store


def refuse_unscalable(record: InfrastructureRecord, node_name: str) -> None:
    """Raise `NoSuchNodeError` if it has no such node, `BusyError` if it is being destroyed."""
    refuse_unwanted(record)
    nodes = [node.name for node in record.current.nodes]
    if node_name not in nodes:
        raise NoSuchNodeError(f"'{record.id}' has no node '{node_name}'; it has: {', '.join(nodes)}")


def preview_request(store: Store, record: InfrastructureRecord, wish: ScaleRequest) -> Answer:
    """The result of a request for a number, after the pending ones. Changes nothing. Raises `StoreError`."""
    if wish.kind is ScaleKind.REPLACE:
        raise ValueError("a replacement is previewed by `preview`, once it is requested")
    requests = [*store.pending_requests(record.id), wish]
    targets = targets_of(record.current, record.targets)
    return scale(requests, record.current, targets, store.instances(record.id)).answers[-1]
