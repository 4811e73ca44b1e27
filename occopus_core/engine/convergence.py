"""A pass over one infrastructure: from what is wanted to what is there, under a lease, by whichever process."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from queue import SimpleQueue

from occopus_core.credentials import Credentials
from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Implementation, Infrastructure
from occopus_core.engine.blueprint import Blueprint
from occopus_core.engine.clock import Clock
from occopus_core.engine.connections import Connections
from occopus_core.engine.design import Design, make_design
from occopus_core.engine.execution import Execution
from occopus_core.engine.journal import Journal
from occopus_core.engine.loop import Loop
from occopus_core.engine.observe import ask_each, observe
from occopus_core.engine.plan import Plan, Verb, make_plan
from occopus_core.engine.preparation import Scene
from occopus_core.engine.reservation import alternatives, new_work, stray_work
from occopus_core.engine.runtime import Runtime
from occopus_core.engine.work import Work
from occopus_core.events import Event, EventKind, Observer
from occopus_core.registry import Registry
from occopus_core.store.records import (
    InfrastructureRecord,
    InstanceRecord,
    Lease,
    NoSuchInfrastructureError,
    Stage,
)
from occopus_core.store.repository import LEASE_SECONDS, InfrastructureTakenError, Store

LEASE_POLL = 0.25
"""Seconds between two tries for a lease that another process holds."""

SWEEPS = 3
"""How often a provider is searched for instances that the store does not know."""


class BuildError(Exception):
    """A build failed and was undone: `problems` say why, `unconfirmed` what could not be seen to be gone."""

    def __init__(self, problems: Sequence[str], unconfirmed: Sequence[str] = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        self.unconfirmed = tuple(unconfirmed)


class InterruptedBuildError(BuildError):
    """A build was interrupted and undone."""


class AbandonedError(Exception):
    """The user would not wait for the end; what is left is in the store."""


class BusyError(Exception):
    """Another process is working on the infrastructure."""


class UnconfirmedError(Exception):
    """Everything that can be was destroyed; `instances` name those whose deletion no provider has confirmed."""

    def __init__(self, instances: Sequence[str]) -> None:
        super().__init__("; ".join(instances))
        self.instances = tuple(instances)


@dataclass(frozen=True, slots=True)
class Resources:
    """What a pass is given to work with."""

    store: Store
    registry: Registry
    credentials: Credentials
    clock: Clock
    rng: random.Random
    executor: Executor
    workers: int
    """The most calls under way at once."""
    width: int | None
    """How many instances may be on their way at once, None for all that can be."""
    observer: Observer
    holder: str
    """Names this process to others who want the same infrastructure."""


class Convergence:
    """Builds, plans and destroys one infrastructure. One object serves one command."""

    def __init__(self, resources: Resources, infra_id: str) -> None:
        self._resources = resources
        self._infra_id = infra_id
        self._loop = Loop(resources.clock, resources.executor)
        self._connections = Connections(resources.registry, resources.credentials, self._loop, resources.workers)
        self._execution: Execution | None = None
        self._destroying = False
        self._interruptions: list[str] = []

    def interrupt(self, reason: str) -> None:
        """Ask a running build to undo itself, a second time to stop at once. Safe in a signal handler."""
        self._interruptions.append(reason)
        self._loop.post(self._heed)

    # Building

    def plan(self, candidate: Infrastructure) -> Plan:
        """What `build` would do, without changing anything.

        Raises `InvalidDesignError`, `ProviderError`.
        """
        design = make_design(self._scene(candidate), self._resources.store)
        try:
            record = self._resources.store.infrastructure(self._infra_id)
        except NoSuchInfrastructureError:
            return make_plan(design.blueprints, _targets(candidate, {}), [], {})
        works = self._recorded_works()
        return self._plan(design, _targets(candidate, record.targets), works, lambda: None)

    def build(self, candidate: Infrastructure) -> None:
        """Make the infrastructure as described, or undo what was made on the way and leave it as it was.

        Raises `InvalidDesignError`, `BusyError`, `BuildError`, `InterruptedBuildError`, `AbandonedError`,
        `ProviderError`, `LeaseLostError`, `StoreError`.
        """
        design = make_design(self._scene(candidate), self._resources.store)
        with self._leased_for(candidate) as (lease, record):
            if not record.wanted:
                raise BusyError(f"the infrastructure '{self._infra_id}' is being destroyed")
            self._converge(design, lease, record)

    def _converge(self, design: Design, lease: Lease, record: InfrastructureRecord) -> None:
        candidate = design.scene.infrastructure
        runtime = self._runtime(design.scene, lease)
        works = self._recorded_works()
        targets = _targets(candidate, record.targets)
        plan = self._plan(design, targets, works, runtime.journal.settle)
        if record.candidate != candidate or record.targets != targets:
            with self._resources.store.changing(lease) as change:
                change.put_candidate(candidate, targets)
        unwanted = {step.node_id for step in plan.of(Verb.DESTROY)}
        for work in works:
            work.doomed = work.node_id in unwanted
        fresh = _new_works(runtime, design.blueprints, plan, works)
        execution = self._begin(runtime, design.blueprints, record, [*works, *fresh])
        unfinished = [work for work in works if not work.doomed and work.stage is not Stage.READY]
        for work in unfinished:
            work.alternatives = alternatives(runtime, design.blueprints[work.node_name], work.implementation)
        if not execution.create([*unfinished, *fresh], design.graph):
            self._undo(execution, runtime, lease, record, design.graph)
        with self._resources.store.changing(lease) as change:
            change.settle(candidate)
        before = design.graph if record.description is None else Graph.of(record.description)
        execution.drop([work for work in execution.works if work.doomed], before)
        self._refuse_if_abandoned()
        if execution.unconfirmed:
            raise UnconfirmedError(execution.unconfirmed)

    def _undo(
        self, execution: Execution, runtime: Runtime, lease: Lease, record: InfrastructureRecord, graph: Graph
    ) -> None:
        reason = execution.interrupted or "; ".join(execution.problems)
        self._tell(EventKind.ROLLING_BACK, reason)
        execution.drop([work for work in execution.works if work.record.provisional], graph)
        self._refuse_if_abandoned()
        if record.description is None and not execution.unconfirmed:
            self._sweep(execution, runtime)
            execution.forget_configuration()
        with self._resources.store.changing(lease) as change:
            if record.description is not None:
                change.put_candidate(None, _targets(record.description, record.targets))
            elif execution.unconfirmed:
                change.unwant()
            else:
                change.remove_infrastructure()
        error = BuildError if execution.problems else InterruptedBuildError
        raise error(execution.problems or [reason], execution.unconfirmed)

    # Destroying

    def destroy(self) -> None:
        """Drop everything and forget the infrastructure. It always ends, and can be repeated.

        Raises `NoSuchInfrastructureError`, `UnconfirmedError`, `AbandonedError`, `LeaseLostError`, `StoreError`.
        """
        store = self._resources.store
        store.unwant(self._infra_id)
        try:
            lease = self._wait_for_lease()
        except NoSuchInfrastructureError:
            return  # whoever was building it has undone it
        with self._releasing(lease):
            record = store.infrastructure(self._infra_id)
            runtime = self._runtime(self._scene(record.current), lease)
            execution = self._begin(runtime, {}, record, self._recorded_works())
            execution.drop(execution.works, Graph.of(record.current))
            self._refuse_if_abandoned()
            if not execution.unconfirmed:
                self._sweep(execution, runtime)
            if execution.unconfirmed:
                raise UnconfirmedError(execution.unconfirmed)
            execution.forget_configuration()
            with store.changing(lease) as change:
                change.remove_infrastructure()

    def _sweep(self, execution: Execution, runtime: Runtime) -> None:
        """Look where instances were made for any the store does not know, such as duplicates, and drop them."""
        owner = runtime.scene.owner()
        for _ in range(SWEEPS):
            links = list(execution.links)
            answers = ask_each(
                self._loop, runtime.journal.settle, links, lambda link: list(link.plugin.list_owned(owner))
            )
            strays = [
                stray_work(runtime, execution.links[link], instance)
                for link, answer in zip(links, answers, strict=True)
                for instance in answer.value or ()
            ]
            if not strays:
                return
            execution.adopt(strays)
            execution.drop(strays, Graph((), ()))

    # What a pass is made of

    def _scene(self, infrastructure: Infrastructure) -> Scene:
        resources = self._resources
        return Scene(
            resources.store.installation, self._infra_id, infrastructure, resources.registry, self._connections
        )

    def _runtime(self, scene: Scene, lease: Lease) -> Runtime:
        resources = self._resources
        journal = Journal(resources.store, lease, self._loop, self._unwanted)
        self._keep_lease()
        return Runtime(scene, self._loop, journal, resources.rng, resources.observer)

    def _keep_lease(self) -> None:
        """Wake the loop often enough for the journal to renew the lease."""
        self._loop.after(LEASE_SECONDS / 4, self._keep_lease)

    def _begin(
        self,
        runtime: Runtime,
        blueprints: Mapping[str, Blueprint],
        record: InfrastructureRecord,
        works: Sequence[Work],
    ) -> Execution:
        known = [description for description in (record.description, record.candidate) if description is not None]
        nodes = {node.name: node for description in known for node in description.nodes}
        nodes.update({name: blueprint.node for name, blueprint in blueprints.items()})
        self._execution = Execution(runtime, blueprints, nodes, works, self._resources.width)
        self._destroying = not blueprints
        self._heed()
        return self._execution

    def _recorded_works(self) -> list[Work]:
        store = self._resources.store
        records = store.instances(self._infra_id)
        implementations = store.implementations({record.implementation for record in records})
        return [self._recorded_work(record, implementations[record.implementation]) for record in records]

    def _recorded_work(self, record: InstanceRecord, implementation: Implementation) -> Work:
        # When `create` was last called is not recorded: until it has answered, it may have been a moment ago.
        called = self._resources.clock.now() if record.stage is Stage.CREATING else record.since
        return Work(record, implementation, last_called=called)

    def _plan(
        self, design: Design, targets: Mapping[str, int], works: Sequence[Work], settle: Callable[[], None]
    ) -> Plan:
        for work in works:
            if work.stage is not Stage.RESERVED:
                work.link = self._connections.resource(work.implementation, work.record.connection)
        observed = observe(self._loop, settle, works)
        return make_plan(design.blueprints, targets, [work.record for work in works], observed)

    # Leases and interruptions

    @contextlib.contextmanager
    def _leased_for(self, candidate: Infrastructure) -> Iterator[tuple[Lease, InfrastructureRecord]]:
        store, clock, holder = self._resources.store, self._resources.clock, self._resources.holder
        lease = None
        try:
            lease = store.acquire(self._infra_id, holder, clock.now())
        except NoSuchInfrastructureError:
            targets = _targets(candidate, {})
            with contextlib.suppress(InfrastructureTakenError):  # somebody else was a moment quicker
                lease = store.add_infrastructure(self._infra_id, candidate, targets, holder, clock.now())
        if lease is None:
            raise BusyError(f"{store.holder(self._infra_id)} is working on the infrastructure '{self._infra_id}'")
        with self._releasing(lease):
            yield lease, store.infrastructure(self._infra_id)

    @contextlib.contextmanager
    def _releasing(self, lease: Lease) -> Iterator[None]:
        try:
            yield
        finally:
            self._resources.store.release(lease)

    def _wait_for_lease(self) -> Lease:
        store, clock = self._resources.store, self._resources.clock
        told = False
        while True:
            lease = store.acquire(self._infra_id, self._resources.holder, clock.now())
            if lease is not None:
                return lease
            if not told:
                self._tell(EventKind.WAITING, f"for {store.holder(self._infra_id)}, which is working on it")
                told = True
            if self._interruptions:
                raise AbandonedError
            clock.wait(SimpleQueue(), LEASE_POLL)

    def _heed(self) -> None:
        execution = self._execution
        if execution is None or not self._interruptions:
            return
        execution.interrupt(self._interruptions[0])
        if self._destroying or len(self._interruptions) > 1:
            execution.abandon()

    def _unwanted(self) -> None:
        if not self._destroying and not self._interruptions:
            self.interrupt("its destruction was asked for")

    def _refuse_if_abandoned(self) -> None:
        if len(self._interruptions) > (0 if self._destroying else 1):
            raise AbandonedError

    def _tell(self, kind: EventKind, text: str) -> None:
        self._resources.observer(Event(kind, self._infra_id, text=text))


def _targets(candidate: Infrastructure, present: Mapping[str, int]) -> dict[str, int]:
    """How many instances each node should have: as many as now, within its limits; at first the least."""
    return {
        node.name: min(max(present.get(node.name, node.scaling.min), node.scaling.min), node.scaling.max)
        for node in candidate.nodes
    }


def _new_works(runtime: Runtime, blueprints: Mapping[str, Blueprint], plan: Plan, works: Sequence[Work]) -> list[Work]:
    """Reserve the instances that a plan creates, numbered on from those that are there."""
    position: dict[str, int] = {}
    for work in works:
        position[work.node_name] = max(position.get(work.node_name, 0), work.record.position)
    fresh = []
    for step in plan.of(Verb.CREATE):
        position[step.node_name] = position.get(step.node_name, 0) + 1
        fresh.append(new_work(runtime, blueprints[step.node_name], position[step.node_name]))
    return fresh
