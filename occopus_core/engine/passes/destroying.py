"""Destroys an infrastructure: afterwards nothing is left, or the remainder is recorded."""

from __future__ import annotations

from collections.abc import Collection

from occopus_core.descriptions.graph import Graph
from occopus_core.engine.differences.dependencies import dependencies
from occopus_core.engine.instance.execution import Execution
from occopus_core.engine.instance.observe import ask_each, owned
from occopus_core.engine.instance.reservation import stray_work
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.belated import cleaning_up
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import UnconfirmedError
from occopus_core.engine.passes.forgetting import forget
from occopus_core.engine.passes.giving_up import give_up
from occopus_core.engine.passes.used_connections import UsedConnections
from occopus_core.engine.passes.waiting_for_lease import acquire_in_time
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureRecord, Lease, NoSuchInfrastructureError, NoSuchPlaceError

SWEEPS = 3
"""How often a provider is searched for instances that the store does not know."""


@cleaning_up
def destroy(context: PassContext, given_up: Collection[str] = ()) -> Steps[None]:
    """Delete everything and remove the infrastructure from the store. Always ends; idempotent.

    Instances on the clouds named in `given_up`, which are gone for good, are logged as events and their rows removed.

    Raises `NoSuchInfrastructureError`, `NoSuchPlaceError`, `UnconfirmedError`, `AbandonedError`, `LeaseLostError`,
    `StoreError`.
    """
    if given_up:
        known = {place.implementation.label for place in context.resources.store.places.all(context.infra_id)}
        known.update(context.resources.store.places.lost(context.infra_id))
        for name in sorted({*given_up} - known):
            raise NoSuchPlaceError(name)
    context.resources.store.request_destroy(context.infra_id)
    try:
        lease = yield from acquire_in_time(context)
    except NoSuchInfrastructureError:
        return  # another process has destroyed it
    with context.releasing(lease):
        yield from destroy_leased(context, lease, context.resources.store.infrastructure(context.infra_id), given_up)


def destroy_leased(
    context: PassContext, lease: Lease, record: InfrastructureRecord, given_up: Collection[str] = ()
) -> Steps[None]:
    """Destroy under a lease, see `destroy`."""
    runtime = context.runtime(context.scope(record.current), heeds_unwanted=False)
    execution = context.execution(runtime, {}, record, context.recorded_works())
    graph = yield from dependencies(context.resources.loop, context.scope(record.current), execution.works)
    yield from execution.drop(execution.works, graph)
    context.refuse_if_abandoned()
    if given_up:
        give_up(execution, runtime, given_up)
    if not execution.dropping.unconfirmed:
        yield from sweep(execution, runtime, places(context, given_up))
    context.refuse_if_abandoned()
    if execution.dropping.unconfirmed:
        raise UnconfirmedError(execution.dropping.unconfirmed)
    yield from forget(context, execution, runtime)
    with context.resources.store.changing(lease) as change:
        change.remove_infrastructure(runtime.clock.now())
        runtime.tell_with(change, EventKind.INFRA_DROPPED)


def places(context: PassContext, but: Collection[str] = ()) -> UsedConnections:
    """Every connection that the infrastructure ever used, except places with the names in `but`."""
    return UsedConnections.of(context.resources.connections, context.resources.store, context.infra_id, but)


def sweep(execution: Execution, runtime: Runtime, found: UsedConnections) -> Steps[None]:
    """Search those connections for instances the store does not know, such as duplicates, and drop them."""
    owner = runtime.scope.owner()
    execution.dropping.unsearched.extend(map(str, found.closed))
    for _ in range(SWEEPS):
        answers = yield from ask_each(
            runtime.loop,
            runtime.journal.commit_due,
            list(found.links),
            "list_owned",
            lambda link: owned(link.plugin, owner),
        )
        inventory = found.heard(answers)
        execution.dropping.unsearched.extend(map(str, inventory.silent))
        strays = [stray_work(runtime, found.links[link], link, instance) for link, instance in inventory.instances]
        execution.adopt(strays)
        yield from execution.drop(strays, Graph((), ()))
        if inventory.silent or not strays:
            return
