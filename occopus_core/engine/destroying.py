"""The end of an infrastructure: nothing is left, or it is known what is."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.api.resource import Instance, ResourceHandler
from occopus_core.descriptions.graph import Graph
from occopus_core.engine.connections import Link
from occopus_core.engine.execution import Execution
from occopus_core.engine.loop import Outcome, Steps
from occopus_core.engine.observe import ask_each
from occopus_core.engine.outcomes import UnconfirmedError
from occopus_core.engine.reason import reason
from occopus_core.engine.reservation import stray_work
from occopus_core.engine.runtime import Runtime
from occopus_core.engine.site import Site
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureRecord, Lease, NoSuchInfrastructureError

SWEEPS = 3
"""How often a provider is searched for instances that the store does not know."""


def destroy(site: Site) -> Steps[None]:
    """Drop everything and forget the infrastructure. It always ends, and can be repeated.

    Raises `NoSuchInfrastructureError`, `UnconfirmedError`, `AbandonedError`, `LeaseLostError`, `StoreError`.
    """
    site.resources.store.unwant(site.infra_id)
    try:
        lease = yield from site.acquire_in_time()
    except NoSuchInfrastructureError:
        return  # whoever was working on it has seen to it
    with site.releasing(lease):
        yield from destroy_leased(site, lease, site.resources.store.infrastructure(site.infra_id))


def destroy_leased(site: Site, lease: Lease, record: InfrastructureRecord) -> Steps[None]:
    """The same under a lease."""
    runtime = site.runtime(site.scene(record.current), lease, heeds_unwanted=False)
    execution = site.execution(runtime, {}, record, site.recorded_works())
    yield from execution.drop(execution.works, Graph.of(record.current))
    site.refuse_if_abandoned()
    if not execution.unconfirmed:
        yield from sweep(execution, runtime)
    site.refuse_if_abandoned()
    if execution.unconfirmed:
        raise UnconfirmedError(execution.unconfirmed)
    execution.forget_configuration()
    with site.resources.store.changing(lease) as change:
        change.remove_infrastructure()
        runtime.tell_with(change, EventKind.INFRA_DROPPED)


def sweep(execution: Execution, runtime: Runtime) -> Steps[None]:
    """Look where instances were made for any the store does not know, such as duplicates, and drop them."""
    owner = runtime.scene.owner()
    for _ in range(SWEEPS):
        links = list(execution.links)
        answers = yield from ask_each(
            runtime.loop, runtime.journal.settle, links, lambda link: list(link.plugin.list_owned(owner))
        )
        if _unsearched(execution, links, answers):
            return
        strays = [
            stray_work(runtime, execution.links[link], instance)
            for link, answer in zip(links, answers, strict=True)
            for instance in answer.get()
        ]
        if not strays:
            return
        execution.adopt(strays)
        yield from execution.drop(strays, Graph((), ()))


def _unsearched(
    execution: Execution, links: Sequence[Link[ResourceHandler]], answers: Sequence[Outcome[list[Instance]]]
) -> bool:
    """True where a connection would not say what it has: then nobody can say that nothing is left."""
    silent = [(link, answer.error) for link, answer in zip(links, answers, strict=True) if answer.error is not None]
    for link, error in silent:
        label = execution.links[link].implementation.label
        execution.unconfirmed.append(f"{label} cannot be searched for what may be left: {reason(error)}")
    return bool(silent)
