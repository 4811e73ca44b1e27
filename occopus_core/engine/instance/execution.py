"""Carries out a plan: creates missing instances, rolls back if that fails, then deletes unwanted ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from occopus_core.api.errors import ProviderError
from occopus_core.api.resource import Instance
from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Dependency, NodeDescription
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.creation import Creation
from occopus_core.engine.instance.dropping import Dropping
from occopus_core.engine.instance.failover import Failover
from occopus_core.engine.instance.failures import Failures
from occopus_core.engine.instance.former_first import FormerFirst
from occopus_core.engine.instance.id_owners import IdOwners
from occopus_core.engine.instance.leaving import Leaving
from occopus_core.engine.instance.lifecycle import RULES, AtEnd, Lifecycle, overdue, phase_of
from occopus_core.engine.instance.manager_cleanup import ManagerCleanup
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.readiness import Readiness
from occopus_core.engine.instance.recheck import Recheck, independent
from occopus_core.engine.instance.reconfiguration import Reconfiguration
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.start_order import StartOrder
from occopus_core.engine.instance.template_values import TemplateValues
from occopus_core.engine.instance.work import Phase, Work, Works
from occopus_core.engine.kernel.loop import Steps, Waiting
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.events import EventKind
from occopus_core.registry import PluginError
from occopus_core.store.records import InstanceRecord, Stage

DELETION_SECONDS = 30.0
"""How long a repair waits for deletions when all other work is done."""


@dataclasses.dataclass(frozen=True, slots=True)
class Orders:
    """The work to start."""

    graph: Graph
    blueprints: Mapping[str, Blueprint] = dataclasses.field(default_factory=dict)
    """The blueprints of nodes that get new instances."""
    creations: Sequence[Work] = ()
    renewals: Sequence[Work] = ()
    """Ready instances to reconfigure."""
    drops: Sequence[Work] = ()


class Execution:
    """The instances of one infrastructure that are under way: at most `width` at once; None for no limit."""

    def __init__(
        self,
        runtime: Runtime,
        blueprints: Mapping[str, Blueprint],
        nodes: Mapping[str, NodeDescription],
        dependencies: Mapping[str, Sequence[Dependency]],
        works: Iterable[Work],
        width: int | None,
    ) -> None:
        self._runtime = runtime
        self._blueprints = blueprints
        self._works = Works(works)
        self._creating = StartOrder(width, self._start)
        self._abandoned = False
        self._tolerant = False
        self._created_at = 0.0
        self._graph = Graph((), ())
        self.interrupted = ""
        scope, loop = runtime.scope, runtime.loop
        self.neighbours = Neighbours(nodes, dependencies, self._works)
        lifecycle = self._lifecycle = Lifecycle(loop, self._expired)
        self._configuring = Configuring(runtime, lifecycle, self.neighbours.peers)
        leaving = self._leaving = Leaving(runtime, lifecycle, self._configuring)
        self._reconfiguration = Reconfiguration(
            runtime, self._configuring, leaving, self.neighbours, self._creating.done
        )
        self._recheck = Recheck(runtime, lifecycle, self.neighbours, self._creating.done, self._unproven)
        self._failures = Failures(runtime)
        self._failover = Failover(runtime, lambda node_name: self._blueprints[node_name])
        refuse = runtime.journal.refuse_if_lost
        self.cleanup = ManagerCleanup(loop, scope.connections, scope.installation, refuse)
        values = TemplateValues(self.neighbours, self._configuring, self._dependees)
        self._former_first = FormerFirst(
            runtime,
            self,
            self._works.all,
            lambda work: self.dropping.add_early(work),  # noqa: PLW0108
        )
        id_owners = IdOwners(scope.infra_id, self._works.all, runtime.journal.store, scope.connections)
        self._creation = Creation(runtime, lifecycle, values, self._configuring, self._former_first, id_owners, self)
        self._readiness = Readiness(runtime, lifecycle, self._creation, self._configuring, self)
        self.dropping = Dropping(
            runtime,
            lifecycle,
            self._works,
            leaving,
            self.cleanup,
            id_owners,
            self._former_first,
            self._withdraw,
            width,
        )

    @property
    def works(self) -> list[Work]:
        """All instances that still have a row."""
        return self._works.all()

    @property
    def problems(self) -> list[str]:
        """The instances that could not be made ready, each with the reason."""
        return self._failures.problems

    @property
    def unconfigured(self) -> list[str]:
        """The ready instances that could not be reconfigured, each with the reason."""
        return self._reconfiguration.unconfigured

    # Creating

    def create(self, works: Iterable[Work], graph: Graph, kept: Collection[Work] = ()) -> Steps[bool]:
        """Create these instances, each as soon as its dependencies are ready. Returns False after a failure.

        The ready instances `kept` are proved by their new health checks when what they depend on is ready. No creation
        waits for them, unless former instances may have to be deleted first: a proof that fails does not undo that.
        """
        self._graph = graph
        works = [*works]
        apart = independent(kept, works, graph) if self._former_first.may_delete() else []
        rest = [work for work in kept if work not in apart]
        self._recheck.expect(kept)
        for groups in [[apart], [works, rest]] if apart else [[works, rest]]:
            if self.problems or self.interrupted:
                return False
            for group in groups:
                self._creating.add(group, graph.order, graph.dependees)
            yield from self.run(lambda: self._creating.finished or bool(self.problems or self.interrupted))
        return not self.problems and not self.interrupted

    def mend(self, orders: Orders) -> None:
        """Start to create, reconfigure and drop beside the work under way. A failed creation is dropped alone.

        Slow work delays only its dependents, and those only while no instance of their dependee is ready.
        """
        self._tolerant = True
        if orders.blueprints:
            self._blueprints = {**self._blueprints, **orders.blueprints}
            self._graph = orders.graph
        self.adopt(orders.creations)
        self._reconfiguration.forgive(orders.renewals)
        self._reconfiguration.foresee(orders.renewals)
        self.dropping.add(self._former_first.hold(orders.drops, orders.creations), orders.graph)
        if orders.drops or orders.creations:
            self._created_at = self._runtime.clock.monotonic()
        if not self.interrupted:
            for works in (orders.creations, orders.renewals):
                self._creating.add(works, orders.graph.order, orders.graph.dependees, self._is_missing)

    def mended(self, patience: float) -> bool:
        """True if no work is under way. Deletions that continue alone are waited for up to `patience` seconds."""
        now = self._runtime.clock.monotonic()
        if not (self._creating.finished or self.interrupted):
            self._created_at = now
            return False
        patient = now - self._created_at <= patience
        return self.dropping.finished or (not patient and self.dropping.goes_on_alone())

    def is_under_way(self, work: Work) -> bool:
        """Whether the instance is being created, reconfigured or dropped."""
        return work in self._creating or work.dropping

    def take_failed_starts(self) -> list[InstanceRecord]:
        """The instances that could not be made ready since the last call."""
        return self._failures.take_failed_starts()

    def _is_missing(self, node_name: str) -> bool:
        """True if the node has no instance that others can use."""
        return not any(work.stage is Stage.READY and not work.dropping for work in self._works.of(node_name))

    def interrupt(self, reason: str) -> None:
        """Stop creating. Deletions go on; `abandon` stops them too."""
        self.interrupted = self.interrupted or reason
        self._stop_creating()

    def _stop_creating(self) -> None:
        """Roll back a build. Its jobs end now, not when their instances are deleted."""
        self._creating.stop()
        self._recheck.stop()
        self._former_first.stop()
        if not self._tolerant:
            self._configuring.cancel_all()

    def run(self, over: Callable[[], bool]) -> Steps[None]:
        """Run the work under way until `over` returns true. Raises `StoreError`, `LeaseLostError`."""
        try:
            yield Waiting(self._runtime.journal.commit_due, lambda: over() or self._abandoned)
            self._runtime.journal.flush()
        except Exception:
            self.abandon()  # another process may hold the lease
            raise

    def _start(self, work: Work) -> None:
        if work.stage is Stage.READY:
            (self._recheck.begin if work in self._recheck else self._reconfiguration.add)(work)
            return
        self._failover.find_alternatives(work)
        if work.stage is Stage.RESERVED:
            self._failover.choose(work)
            self._creation.begin(work)
        else:  # started by another process: call `create` with its token again
            try:
                work.link = self._runtime.scope.connections.resource(work.implementation, work.record.connection)
            except (PluginError, DescriptionError) as error:
                self.failed(work, str(error))
                return
            self._creation.resume(work)

    # Reconfiguring

    def reconfigure(self, works: Iterable[Work], graph: Graph, foreseen: Collection[str]) -> Steps[None]:
        """Reconfigure those of these ready instances whose configuration has changed, a few of each node at a time.

        `foreseen` has the ids of the instances that the plan reconfigures.
        """
        ready = [work for work in works if work.stage is Stage.READY and _is_managed(work)]
        if not ready or self.interrupted:
            return
        self._graph, self._tolerant = graph, True
        self._reconfiguration.foresee(work for work in ready if work.node_id in foreseen)
        self._creating.add(ready, graph.order, graph.dependees)
        yield from self.run(lambda: self._creating.finished or bool(self.interrupted))
        self._configuring.end(ready)  # jobs left by an interruption; their managers go on

    def created(self, work: Work, instance: Instance) -> None:
        """See `Progress`."""
        self._readiness.watch(work, instance)

    def ready(self, work: Work) -> None:
        """See `Progress`."""
        if not work.dropping:
            self._runtime.emit(EventKind.NODE_READY, work, work.record.address)
            self._creating.done(work)
            self._former_first.ended(work)

    def failed(self, work: Work, reason: str) -> None:
        """See `Progress`. A build fails with its first failed node; a repair gives up that instance alone.

        Its last output becomes part of the reason: it is read before the instance is deleted.
        """
        if work.dropping:
            return
        work.dropping = True
        self._configuring.end([work])
        if not self._tolerant:
            self._stop_creating()
        self._failures.failed(work, reason, lambda: self._give_up(work))

    def _unproven(self, problem: str) -> None:
        """A kept instance does not pass its new health checks: the build fails."""
        self.problems.append(problem)
        self._stop_creating()

    def _give_up(self, work: Work) -> None:
        """Delete a failed instance of a repair. Those of a build are deleted together when it is rolled back."""
        if self._tolerant and not work.may_drop:
            self.dropping.add_failed(work)
            self._creating.done(work)
        else:
            self.halted(work)
        self._former_first.ended(work)

    def lost(self, work: Work, then: Callable[[str], None]) -> None:
        """Read the last output of an instance that is to be replaced, before it is deleted; `then` gets it."""
        self._failures.lost(work, then, lambda: self.halted(work))

    def declined(self, work: Work, error: ProviderError) -> None:
        """See `Progress`: try the next implementation, and drop what the first may have created."""
        self._failover.pass_over(work.implementation, error)
        if not work.alternatives:
            self.failed(work, str(error))
            return
        self._runtime.emit(EventKind.NODE_MOVED, work, f"{error}: trying {work.alternatives[0].label}")
        self.dropping.add_declined(work)
        self._failover.move(work, in_build=not self._tolerant)
        self._creation.begin(work)

    # Dropping

    def drop(self, works: Iterable[Work], graph: Graph) -> Steps[None]:
        """Drop these instances, dependents before their dependees; those of unknown nodes at once."""
        self.dropping.add(works, graph)
        yield from self.run(lambda: self.dropping.finished)

    def _withdraw(self, works: Sequence[Work]) -> None:
        """Configure instances no more that are to be dropped."""
        for work in works:
            work.dropping = True
        self._configuring.end(work for work in works if not _has_job(work))
        self._configuring.cancel(work for work in works if _has_job(work))
        for work in works:
            self._reconfiguration.withdraw(work)

    def abandon(self) -> None:
        """Stop all work. Unfinished instances stay in the store for a later pass."""
        self._abandoned = True
        for work in self.works:
            work.dropping = True
        self.halt()

    def halt(self) -> None:
        """Stop all work; a later pass continues it."""
        self._lifecycle.stop()
        self._failures.halt()
        self._configuring.halt()
        self.dropping.halt()

    def adopt(self, works: Iterable[Work]) -> None:
        """Add instances that were found at a provider."""
        for work in works:
            self._works.add(work)

    def halted(self, work: Work) -> None:
        """See `Progress`."""
        self.dropping.returned(work)

    def _expired(self, work: Work) -> None:
        """The time limit of its phase has passed, and no call for it returns."""
        phase = phase_of(work)
        at_end = RULES[phase].at_end
        if phase in (Phase.PARTING, Phase.LEAVING):
            self._leaving.expire(work)
        elif at_end in (AtEnd.GO_ON, AtEnd.LEAVE):
            self.dropping.expire(work)
        elif work.dropping:
            return
        elif at_end is AtEnd.CANCEL:
            self._configuring.expire(work)
        elif phase is Phase.RECHECKING:
            self._recheck.failed(work, overdue(work, self._silence(work)))
        else:
            if work.calling:
                work.given_up = True
                work.may_exist = work.may_exist or self._runtime.may_be_making(work)
            self.failed(work, overdue(work, self._silence(work)))

    def _silence(self, work: Work) -> str:
        """What is said of the party whose answer an instance waits for."""
        configuration = work.prepared.configuration if work.prepared is not None else None
        if phase_of(work) is Phase.PREPARING and configuration is not None:
            return configuration.link.silence(configuration.link.label)
        if phase_of(work) in (Phase.CHECKING, Phase.RECHECKING) and work.proof.awaited:
            named = self._runtime.scope.registry.named
            return "; ".join(f"{named('health', key)} does not answer" for key in sorted(work.proof.awaited))
        label = work.implementation.label
        return f"{label} does not answer" if work.link is None else work.link.silence(label)

    def _dependees(self, name: str) -> Iterable[str]:
        return self._graph.dependees(name) if name in self._blueprints else ()


def _has_job(work: Work) -> bool:
    """True if a job may be under way for it, of this process or an earlier one."""
    return work.configuration is not None and work.configuration.may_have_job


def _is_managed(work: Work) -> bool:
    return work.configuration is not None or work.implementation.config_management is not None
