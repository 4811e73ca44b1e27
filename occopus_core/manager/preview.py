"""The plan of a new infrastructure, made without opening the store for writing."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.loop import Loop
from occopus_core.engine.planning.design import Overlay, first_plan, refuse_over
from occopus_core.engine.planning.plan import Plan
from occopus_core.engine.planning.preparation import Scope
from occopus_core.registry import Registry
from occopus_core.settings import Settings
from occopus_core.store.definitions import read_definitions


def preview_first_build(
    settings: Settings,
    credentials: Credentials,
    infrastructure: Infrastructure,
    infra_id: str,
    own: Mapping[str, NodeDefinition],
    end: float | None = None,
) -> Plan | None:
    """See `InfrastructureManager.plan`, for an infrastructure that does not exist yet. Changes nothing.

    The node definitions `own` replace stored ones. `end` is that of `build`. None if only the manager can make the
    plan: an infrastructure may have this id or name, or the store is not a plain file of the present version. Raises
    `InvalidDesignError`.
    """
    definitions = read_definitions(settings.store, infra_id)
    if definitions is None:
        return None
    if end is None:
        refuse_over(infrastructure, SystemClock().now())
    registry = Registry()
    with ThreadPoolExecutor(1) as executor:
        connections = Connections(registry, credentials, Loop(SystemClock(), executor), 1)
        scope = Scope(definitions.installation, infra_id, infrastructure, registry, connections)
        return first_plan(scope, Overlay(own, definitions))
