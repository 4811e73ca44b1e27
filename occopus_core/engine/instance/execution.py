"""Carries a plan out: creates what is missing, undoes it if that fails, then drops what is not wanted any more."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from occopus_core.api.config import ConfigState
from occopus_core.api.errors import ProviderError
from occopus_core.api.resource import Address, Instance, ResourceHandler
from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Dependency, Implementation, NodeDescription
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.creation import Creation
from occopus_core.engine.instance.deletion import Deletion
from occopus_core.engine.instance.lifecycle import GRACE, RULES, AtEnd, Lifecycle, overdue, phase_of
from occopus_core.engine.instance.manager_cleanup import ManagerCleanup, summary
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.readiness import Readiness
from occopus_core.engine.instance.reservation import alternatives, reserve
from occopus_core.engine.instance.rolling import Rolling
from occopus_core.engine.instance.runtime import PassedOver, Runtime
from occopus_core.engine.instance.shutdown import Shutdown
from occopus_core.engine.instance.start_order import StartOrder
from occopus_core.engine.instance.unanswered import Unanswered, summarise
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome, Steps, Waiting
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.preparation import Configuration, Subject
from occopus_core.events import EventKind
from occopus_core.render import functions
from occopus_core.store.configurations import ConfigurationRecord, ManagerRecord
from occopus_core.store.records import Stage

PASS_OVER_SECONDS = 300.0
"""How long an implementation is passed over after its provider had no room, or could not be reached."""

DELETION_SECONDS = 30.0
"""How long a repair waits for deletions when it has done all else."""


Forgotten = Callable[[ManagerRecord], None]
"""Gets each manager that has forgotten the infrastructure."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Neighbours:
    """What the templates of one node may know of others, as it is when its instance begins."""

    node_name: str
    known: Mapping[str, Sequence[Sequence[Address]]]
    ids: Mapping[str, Sequence[str]]

    def node_ids(self, node_name: str) -> Sequence[str]:
        return self.ids[node_name] if self.addresses(node_name) else ()

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        if node_name not in self.known:
            raise LookupError(
                f"it was not seen beforehand that '{self.node_name}' needs '{node_name}': add the dependency "
                f"[{self.node_name}, {node_name}]"
            )
        return self.known[node_name]


@dataclasses.dataclass(frozen=True, slots=True)
class Orders:
    """What is to be begun."""

    graph: Graph
    blueprints: Mapping[str, Blueprint] = dataclasses.field(default_factory=dict)
    """Of the nodes that instances are made of; empty where none is made."""
    creations: Sequence[Work] = ()
    renewals: Sequence[Work] = ()
    """Ready instances that are to be reconfigured."""
    drops: Sequence[Work] = ()


class Execution:
    """The instances of one infrastructure on their way. `width` of them at once, None for as many as can be."""

    def __init__(
        self,
        runtime: Runtime,
        blueprints: Mapping[str, Blueprint],
        nodes: Mapping[str, NodeDescription],
        dependencies: Sequence[Dependency],
        works: Iterable[Work],
        width: int | None,
    ) -> None:
        self._runtime = runtime
        self._blueprints = blueprints
        self._nodes = nodes
        self._works: dict[str, dict[Work, None]] = {}
        for work in works:
            self._works.setdefault(work.node_name, {})[work] = None
        self._creating = StartOrder(width, self._start)
        self._dropping = StartOrder(width, self._drop_one)
        self._discarded: set[Work] = set()
        self._abandoned = False
        self._tolerant = False
        self._created_at = 0.0
        self._graph = Graph((), ())
        self.problems: list[str] = []
        self.failed_nodes: list[str] = []
        self.unconfigured: list[str] = []
        """The ready instances that could not be reconfigured, each with why."""
        self._rolling = Rolling(self._renew, self._leave_as_it_is)
        self.unsearched: list[str] = []
        """The places that would not tell what may be left there, each with why."""
        self._unconfirmed: list[Unanswered] = []
        self.interrupted = ""
        self.links: set[OpenConnection[ResourceHandler]] = set()
        """The connections on which something may have been made that was dropped."""
        scope, loop = runtime.scope, runtime.loop
        self.neighbours = Neighbours(nodes, dependencies, lambda: self.works)
        lifecycle = self._lifecycle = Lifecycle(loop, self._expired)
        self._configuring = Configuring(runtime, lifecycle, self.neighbours.peers)
        refuse = runtime.journal.refuse_if_lost
        self.cleanup = ManagerCleanup(loop, scope.connections, scope.installation, refuse)
        self._creation = Creation(runtime, lifecycle, self._subject, self._awaited, self._configuring, self)
        self._readiness = Readiness(runtime, lifecycle, self._creation, self._configuring, self)
        shutdown = Shutdown(runtime, lifecycle, self._configuring)
        self._deletion = Deletion(runtime, lifecycle, shutdown, self.cleanup, self)

    @property
    def works(self) -> list[Work]:
        """All instances that are still recorded."""
        return [work for works in self._works.values() for work in works]

    @property
    def unconfirmed(self) -> list[str]:
        """What no provider has confirmed to be gone."""
        return [*summarise(self._unconfirmed), *self.unsearched]

    # Creating

    def create(self, works: Iterable[Work], graph: Graph) -> Steps[bool]:
        """Bring these instances to readiness, each as soon as its dependencies allow. False where that failed."""
        self._graph = graph
        if self.interrupted:
            return False
        self._creating.add(works, graph.order, graph.dependees)
        yield from self.run(lambda: self._creating.finished or bool(self.problems or self.interrupted))
        return not self.problems and not self.interrupted

    def mend(self, orders: Orders) -> None:
        """Begin to create, reconfigure and drop beside what is under way; what cannot be created is dropped by itself.

        What is slow holds up only what has to wait for it: dependents of a node of which no instance is ready.
        """
        self._tolerant = True
        if orders.blueprints:
            self._blueprints = {**self._blueprints, **orders.blueprints}
            self._graph = orders.graph
        self.adopt(orders.creations)
        self._rolling.forgive(orders.renewals)
        self._begin_to_drop(orders.drops, orders.graph)
        if orders.drops or orders.creations:
            self._created_at = self._runtime.clock.monotonic()
        if not self.interrupted:
            for works in (orders.creations, orders.renewals):
                self._creating.add(works, orders.graph.order, orders.graph.dependees, self._is_missing)

    def mended(self, patience: float) -> bool:
        """Whether nothing is under way; deletions that go on by themselves are waited for `patience` seconds."""
        now = self._runtime.clock.monotonic()
        if not (self._creating.finished or self.interrupted):
            self._created_at = now
            return False
        dropped = self._dropping.finished and not self._discarded
        return dropped or (now - self._created_at > patience and all(map(_goes_by_itself, self._doomed)))

    def is_under_way(self, work: Work) -> bool:
        """Whether the instance is being created, reconfigured or dropped."""
        return work in self._creating or work.dropping

    def take_failed_nodes(self) -> list[str]:
        """The nodes of the instances that could not be created since this was last asked."""
        failed, self.failed_nodes = self.failed_nodes, []
        return failed

    def _is_missing(self, node_name: str) -> bool:
        """Whether a node has no instance that others can use."""
        return not any(work.stage is Stage.READY and not work.dropping for work in self._works.get(node_name, ()))

    @property
    def _doomed(self) -> list[Work]:
        return [work for work in self.works if work.dropping]

    def interrupt(self, reason: str) -> None:
        """Stop creating. A deletion goes on; see `abandon`."""
        self.interrupted = self.interrupted or reason
        self._stop_creating()

    def _stop_creating(self) -> None:
        """What a build has begun is undone: its jobs end now, not when their turn to be deleted comes."""
        self._creating.stop()
        if not self._tolerant:
            self._configuring.cancel_all()

    def run(self, over: Callable[[], bool]) -> Steps[None]:
        """Go on with what is under way until `over`. Propagates errors of the store, and of a lease that is lost."""
        try:
            yield Waiting(self._runtime.journal.commit_due, lambda: over() or self._abandoned)
            self._runtime.journal.flush()
        except Exception:
            self.abandon()  # whoever has the lease by now is not to be crossed
            raise

    def _start(self, work: Work) -> None:
        if work.stage is Stage.READY:
            self._rolling.add(work)
            return
        work.alternatives = alternatives(self._runtime, self._blueprints[work.node_name], work.implementation)
        if work.stage is Stage.RESERVED:
            self._choose(work)
            self._creation.begin(work)
        else:  # begun by another process: everything goes on from what `create` answers for its token
            work.link = self._runtime.scope.connections.resource(work.implementation, work.record.connection)
            self._creation.resume(work)

    # Reconfiguring

    def reconfigure(self, works: Iterable[Work], graph: Graph) -> Steps[None]:
        """Configure the ready instances among these of which that has changed, those of a node a few at a time."""
        ready = [work for work in works if work.stage is Stage.READY and _is_managed(work)]
        if not ready or self.interrupted:
            return
        self._graph, self._tolerant = graph, True
        self._creating.add(ready, graph.order, graph.dependees)
        yield from self.run(lambda: self._creating.finished or bool(self.interrupted))
        self._configuring.end(ready)  # of an interrupted one: their managers go on with them

    def _renew(self, work: Work) -> None:
        subject, scope = self.neighbours.subject(work), self._runtime.scope
        self._runtime.loop.submit(lambda: scope.configuration(subject), lambda outcome: self._rendered(work, outcome))

    def _rendered(self, work: Work, outcome: Outcome[Configuration | None]) -> None:
        configuration, record = outcome.value, work.configuration
        if work.dropping or outcome.error is not None:
            self._renewed(work, reason(outcome.error) if outcome.error is not None else "")
        elif configuration is None:
            self._configuring.renounce(work)
            self._renewed(work, "")
        else:
            key = (work.node_id, configuration.kept.section["type"], configuration.settings)
            known = record is not None and record.key == key
            if known and record is not None and record.applied == configuration.node.generation:
                self._renewed(work, "")
                return
            new = not known or record is None or record.state is ConfigState.UNKNOWN
            self._runtime.emit(EventKind.NODE_RECONFIGURING, work, configuration.link.label)
            link, node = configuration.link, configuration.node

            def begin() -> None:
                if not work.dropping:
                    self._configuring.begin(work, link, node, self._renewed, register=new)

            self._configuring.adopt(work, configuration, begin)

    def _renewed(self, work: Work, why: str) -> None:
        """A ready instance has been reconfigured, or goes on as it is."""
        if why and not work.dropping:
            text = f"not reconfigured: {why}"
            self._runtime.emit(EventKind.NODE_UNHEALTHY, work, text)
            self.unconfigured.append(f"node '{work.node_name}' ({work.implementation.label}): {text}")
        self._withdraw(work, failed=bool(why))

    def _leave_as_it_is(self, work: Work) -> None:
        text = "not reconfigured: another instance of the node could not be"
        self.unconfigured.append(f"node '{work.node_name}' ({work.implementation.label}): {text}")
        self._creating.done(work)

    def _withdraw(self, work: Work, *, failed: bool = False) -> None:
        """It is not created or reconfigured any more."""
        self._rolling.ended(work, failed=failed)
        self._creating.done(work)

    def _choose(self, work: Work) -> None:
        """Pass over implementations that declined lately, while there are others."""
        while work.alternatives and (reason := self._declined_lately(work.implementation)):
            declined = work.implementation.label
            self._take_next(work)
            text = f"{declined} is passed over ({reason}): trying {work.implementation.label}"
            self._runtime.emit(EventKind.NODE_MOVED, work, text)

    def _declined_lately(self, implementation: Implementation) -> str:
        """Why it could not be used lately; empty where it could."""
        known = self._runtime.experience.passed_over.get(implementation.digest)
        return known.reason if known is not None and known.until > self._runtime.clock.monotonic() else ""

    def _take_next(self, work: Work) -> None:
        work.implementation = work.alternatives.popleft()
        work.record = dataclasses.replace(
            work.record,
            implementation=work.implementation.digest,
            fingerprint=self._blueprints[work.node_name].fingerprints[work.implementation.digest],
        )

    def created(self, work: Work, instance: Instance) -> None:
        """See `creation.Progress`."""
        self._readiness.watch(work, instance)

    def ready(self, work: Work) -> None:
        """See `readiness.Progress`."""
        if not work.dropping:
            self._runtime.emit(EventKind.NODE_READY, work, work.record.address)
            self._creating.done(work)

    def failed(self, work: Work, reason: str) -> None:
        """See `creation.Progress`: a node that cannot be made fails the build; in a repair it is given up by itself."""
        if work.dropping:
            return
        self._runtime.emit(EventKind.NODE_FAILED, work, reason)
        self.problems.append(f"node '{work.node_name}' ({work.implementation.label}): {reason}")
        self.failed_nodes.append(work.node_name)
        work.dropping = True
        self._configuring.end([work])
        if not self._tolerant:
            self._stop_creating()
        else:
            self._discarded.add(work)
            self._deletion.begin(work)
            self._creating.done(work)

    def declined(self, work: Work, error: ProviderError) -> None:
        """See `creation.Progress`: the next implementation takes over, and what the first one left is dropped."""
        until = self._runtime.clock.monotonic() + PASS_OVER_SECONDS
        self._runtime.experience.passed_over[work.implementation.digest] = PassedOver(until, str(error))
        if not work.alternatives:
            self.failed(work, str(error))
            return
        self._runtime.emit(EventKind.NODE_MOVED, work, f"{error}: trying {work.alternatives[0].label}")
        self._discard(work)
        before = work.record
        blueprint = self._blueprints[work.node_name]
        fresh = reserve(self._runtime, blueprint, work.implementation, before.position, provisional=before.provisional)
        work.record, work.link, work.prepared, work.last_called, work.configuration = fresh, None, None, 0.0, None
        work.clock = None
        self._take_next(work)
        self._choose(work)
        self._runtime.journal.add(work.record, work.implementation)
        self._creation.begin(work)

    def _discard(self, work: Work) -> None:
        """Drop what a creation that was declined may have left, beside everything else."""
        remains = Work(
            work.record,
            work.implementation,
            link=work.link,
            may_exist=work.may_exist,
            last_called=work.last_called,
            creations=work.creations,
            dropping=True,
            configuration=work.configuration,
        )
        self._works[work.node_name][remains] = None
        self._discarded.add(remains)
        self._deletion.begin(remains)

    # Dropping

    def drop(self, works: Iterable[Work], graph: Graph) -> Steps[None]:
        """Drop these instances, dependents before what they depend on; those of unknown nodes at once."""
        self._begin_to_drop(works, graph)
        yield from self.run(lambda: self._dropping.finished and not self._discarded)

    def _begin_to_drop(self, works: Iterable[Work], graph: Graph) -> None:
        works = [work for work in works if work not in self._discarded]
        for work in works:
            work.dropping = True
        self._configuring.end(work for work in works if not _has_job(work))
        self._configuring.cancel(work for work in works if _has_job(work))
        for work in works:
            self._withdraw(work)
        known = frozenset(graph.order)
        order = tuple(reversed(graph.order))
        self._dropping.add(works, order, lambda name: graph.dependents(name) if name in known else ())

    def abandon(self) -> None:
        """Stop everything: what is left stays in the store for a later pass."""
        self._abandoned = True
        for work in self.works:
            work.dropping = True
        self.halt()

    def halt(self) -> None:
        """Do nothing more: a later pass goes on with what is left."""
        self._lifecycle.stop()
        self._configuring.halt()
        self._deletion.halt()

    def adopt(self, works: Iterable[Work]) -> None:
        """Take in instances that were found at a provider."""
        for work in works:
            self._works.setdefault(work.node_name, {})[work] = None

    def _drop_one(self, work: Work) -> None:
        work.may_drop = True
        if not work.calling or work.given_up:
            self._deletion.begin(work)
        elif self._lifecycle.queued(work):  # where its turn comes, the call is not made
            self._drop_without(work)
        else:
            self._runtime.loop.after(GRACE, lambda: self._drop_without(work))

    def _drop_without(self, work: Work) -> None:
        """A call that is under way has not returned in time: its instance is looked for and deleted all the same."""
        if work.calling and not work.given_up and not self._abandoned:
            work.given_up = True
            work.may_exist = work.may_exist or self._runtime.may_be_making(work)
            self._deletion.begin(work)

    def halted(self, work: Work) -> None:
        """See `creation.Progress`."""
        if work.may_drop and not work.given_up and work in self._works[work.node_name]:
            self._deletion.begin(work)

    def _expired(self, work: Work) -> None:
        """Its phase lasts too long, and no call for it returns."""
        at_end = RULES[phase_of(work)].at_end
        if at_end in (AtEnd.GO_ON, AtEnd.LEAVE):
            self._deletion.expire(work)
        elif work.dropping:
            return
        elif at_end is AtEnd.CANCEL:
            self._configuring.expire(work)
        else:
            if work.calling:
                work.given_up = True
                work.may_exist = work.may_exist or self._runtime.may_be_making(work)
            self.failed(work, overdue(work, f"{_silent(work)} does not answer"))

    def gone(self, work: Work) -> None:
        """See `deletion.Progress`."""
        del self._works[work.node_name][work]
        self._dropped(work)

    def unconfirmed_deletion(self, work: Work, why: Exception | str) -> None:
        """See `deletion.Progress`."""
        self._unconfirmed.append(Unanswered(work.node_name, work.implementation.label, why))
        self._dropped(work)

    def given_up(self, work: Work) -> None:
        """Its row is forgotten although its provider has not confirmed that it is gone."""
        self._works[work.node_name].pop(work, None)
        self._unconfirmed = [each for each in self._unconfirmed if each.place != work.implementation.label]

    def _dropped(self, work: Work) -> None:
        if work.link is not None and work.may_exist:
            self.links.add(work.link)
        if work in self._discarded:
            self._discarded.remove(work)
        else:
            self._dropping.done(work)

    def flush(self) -> None:
        """Commit everything gathered. Raises `LeaseLostError`, `StoreError`."""
        self._runtime.journal.flush()

    def forget(
        self, records: Sequence[ConfigurationRecord], managers: Sequence[ManagerRecord], done: Forgotten
    ) -> Steps[None]:
        """Have managers forget what is left, and then the infrastructure. What they do not stays recorded."""
        commit_due, cleanup = self._runtime.journal.commit_due, self.cleanup
        left = yield from cleanup.all(records, commit_due, self._runtime.journal.forgotten)
        holding = {(record.type, record.settings) for record in left}
        asked = [each for each in managers if (each.type, each.settings) not in holding]
        kept = yield from cleanup.infrastructures(asked, commit_due, done)
        for line in summary([*left, *(each for each in managers if each in kept)], cleanup.away):
            self._runtime.tell(EventKind.NOT_FORGOTTEN, line)

    # What templates may know

    def _subject(self, work: Work) -> Subject:
        # One that is described no more is only to be dropped: its name is all that is left of it.
        node = self._nodes.get(work.node_name) or NodeDescription(work.node_name, type="")
        needed = self._needed(node.name)
        known = {name: self.neighbours.addresses(name) for name in needed}
        neighbours = _Neighbours(node.name, known, {name: self.neighbours.node_ids(name) for name in needed})
        handed = self.neighbours.handed(node.name).values
        return Subject(node, work.node_id, work.record.token, work.implementation, functions(neighbours), handed)

    def _awaited(self, work: Work) -> Sequence[str]:
        """What dependees have to publish before the instance is created. They are asked for it."""
        awaited = self.neighbours.handed(work.node_name).awaited
        if awaited:
            dependees = set(self._needed(work.node_name))
            self._configuring.refresh(each for each in self.works if each.node_name in dependees)
        return awaited

    def _needed(self, name: str) -> Iterable[str]:
        return self._graph.dependees(name) if name in self._blueprints else ()


def _goes_by_itself(work: Work) -> bool:
    """Whether any later pass goes on with its deletion. One whose calls fail is given up in this one, and told."""
    return work.stage is Stage.DROPPING and (not work.calling or work.given_up) and not work.failures


def _silent(work: Work) -> str:
    """Whose answer an instance waits for."""
    configuration = work.prepared.configuration if work.prepared is not None else None
    if phase_of(work) is Phase.PREPARING and configuration is not None:
        return configuration.link.label
    return "its health check" if phase_of(work) is Phase.CHECKING else work.implementation.label


def _has_job(work: Work) -> bool:
    """Whether a job may be under way for it, of this process or of one before."""
    return work.configuration is not None and work.configuration.state is ConfigState.RUNNING


def _is_managed(work: Work) -> bool:
    return work.configuration is not None or work.implementation.config_management is not None
