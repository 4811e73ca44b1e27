"""Carries a plan out: creates what is missing, undoes it if that fails, then drops what is not wanted any more."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from occopus_core.api.errors import ProviderError
from occopus_core.api.resource import Address, Instance, ResourceHandler
from occopus_core.descriptions.graph import Graph
from occopus_core.descriptions.model import Implementation, NodeDescription
from occopus_core.engine.instance.creation import Creation
from occopus_core.engine.instance.deletion import Deletion
from occopus_core.engine.instance.readiness import Readiness
from occopus_core.engine.instance.reservation import alternatives, reserve
from occopus_core.engine.instance.runtime import PassedOver, Runtime
from occopus_core.engine.instance.turns import Turns
from occopus_core.engine.instance.unanswered import Unanswered, summarise
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.connections import Link
from occopus_core.engine.kernel.loop import Steps, Waiting
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.preparation import Subject
from occopus_core.events import EventKind
from occopus_core.render import functions
from occopus_core.store.records import Stage

PASS_OVER_SECONDS = 300.0
"""How long an implementation is passed over after its provider had no room, or could not be reached."""

DELETION_SECONDS = 30.0
"""How long a repair waits for deletions when it has done all else."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Neighbours:
    """What the templates of one node may know of others, as it is when its instance begins."""

    node_name: str
    known: Mapping[str, Sequence[Sequence[Address]]]

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        if node_name not in self.known:
            raise LookupError(
                f"it was not seen beforehand that '{self.node_name}' needs '{node_name}': add the dependency "
                f"[{self.node_name}, {node_name}]"
            )
        return self.known[node_name]


class Execution:
    """The instances of one infrastructure on their way. `width` of them at once, None for as many as can be."""

    def __init__(
        self,
        runtime: Runtime,
        blueprints: Mapping[str, Blueprint],
        nodes: Mapping[str, NodeDescription],
        works: Iterable[Work],
        width: int | None,
    ) -> None:
        self._runtime = runtime
        self._blueprints = blueprints
        self._nodes = nodes
        self._width = width
        self._works: dict[str, dict[Work, None]] = {}
        for work in works:
            self._works.setdefault(work.node_name, {})[work] = None
        self._creating: Turns | None = None
        self._dropping: Turns | None = None
        self._discarded: set[Work] = set()
        self._abandoned = False
        self._tolerant = False
        self._created_at = 0.0
        self._graph = Graph((), ())
        self.problems: list[str] = []
        self.failed_nodes: list[str] = []
        self.unsearched: list[str] = []
        """The places that would not tell what may be left there, each with why."""
        self._unconfirmed: list[Unanswered] = []
        self.interrupted = ""
        self.links: set[Link[ResourceHandler]] = set()
        """The connections on which something may have been made that was dropped."""
        self._creation = Creation(runtime, self._subject, self)
        self._readiness = Readiness(runtime, self._creation, self)
        self._deletion = Deletion(runtime, self._subject, self)

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
        turns = self._creating = self._creations(works, graph)
        if self.interrupted:
            return False
        turns.begin()
        yield from self._run(lambda: turns.finished or bool(self.problems or self.interrupted))
        return not self.problems and not self.interrupted

    def mend(self, creations: Iterable[Work], drops: Iterable[Work], graph: Graph) -> Steps[None]:
        """Create and drop side by side; what cannot be created is dropped by itself, and the rest goes on.

        Deletions that take long are left for a later one to go on with: what fails meanwhile cannot wait for them.
        """
        self._tolerant = True
        self._created_at = self._runtime.clock.monotonic()
        self._graph = graph
        self._creating = self._creations(creations, graph)
        self._dropping = self._drops(drops, graph)
        self._dropping.begin()
        if not self.interrupted:
            self._creating.begin()
        yield from self._run(self._mended)
        self._deletion.halt()

    def _mended(self) -> bool:
        assert self._creating is not None, "it was begun"
        assert self._dropping is not None, "it was begun"
        now = self._runtime.clock.monotonic()
        if not (self._creating.finished or self.interrupted):
            self._created_at = now
            return False
        dropped = self._dropping.finished and not self._discarded
        return dropped or (now - self._created_at > DELETION_SECONDS and all(map(_goes_by_itself, self._doomed)))

    @property
    def _doomed(self) -> list[Work]:
        return [work for work in self.works if work.dropping]

    def interrupt(self, reason: str) -> None:
        """Stop creating. A deletion goes on; see `abandon`."""
        self.interrupted = self.interrupted or reason
        self._stop_creating()

    def _stop_creating(self) -> None:
        if self._creating is not None:
            self._creating.stop()

    def _creations(self, works: Iterable[Work], graph: Graph) -> Turns:
        return Turns(works, graph.order, graph.dependees, graph.dependents, self._width, self._start)

    def _run(self, over: Callable[[], bool]) -> Steps[None]:
        try:
            yield Waiting(self._runtime.journal.commit_due, lambda: over() or self._abandoned)
            self._runtime.journal.flush()
        except Exception:
            self.abandon()  # whoever has the lease by now is not to be crossed
            raise

    def _start(self, work: Work) -> None:
        work.alternatives = alternatives(self._runtime, self._blueprints[work.node_name], work.implementation)
        if work.stage is Stage.RESERVED:
            self._choose(work)
            self._creation.begin(work)
        else:  # begun by another process: everything goes on from what `create` answers for its token
            work.link = self._runtime.scope.connections.resource(work.implementation, work.record.connection)
            self._creation.resume(work)

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
        if self._creating is not None and not work.dropping:
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
        if not self._tolerant:
            self._stop_creating()
        elif self._creating is not None:
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
        work.record, work.link, work.prepared, work.last_called = fresh, None, None, 0.0
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
            dropping=True,
        )
        self._works[work.node_name][remains] = None
        self._discarded.add(remains)
        self._deletion.begin(remains)

    # Dropping

    def drop(self, works: Iterable[Work], graph: Graph) -> Steps[None]:
        """Drop these instances, dependents before what they depend on; those of unknown nodes at once."""
        turns = self._dropping = self._drops(works, graph)
        turns.begin()
        yield from self._run(lambda: turns.finished and not self._discarded)

    def _drops(self, works: Iterable[Work], graph: Graph) -> Turns:
        works = [work for work in works if work not in self._discarded]
        for work in works:
            work.dropping = True
        known = frozenset(graph.order)
        return Turns(
            works,
            tuple(reversed(graph.order)),
            lambda name: graph.dependents(name) if name in known else (),
            lambda name: graph.dependees(name) if name in known else (),
            self._width,
            self._drop_one,
        )

    def abandon(self) -> None:
        """Stop everything: what is left stays in the store for a later pass."""
        self._abandoned = True
        for work in self.works:
            work.dropping = True

    def adopt(self, works: Iterable[Work]) -> None:
        """Take in instances that were found at a provider."""
        for work in works:
            self._works.setdefault(work.node_name, {})[work] = None

    def _drop_one(self, work: Work) -> None:
        work.may_drop = True
        if not work.calling:
            self._deletion.begin(work)

    def halted(self, work: Work) -> None:
        """See `creation.Progress`."""
        if work.may_drop:
            self._deletion.begin(work)

    def gone(self, work: Work) -> None:
        """See `deletion.Progress`."""
        del self._works[work.node_name][work]
        self._dropped(work)

    def unconfirmed_deletion(self, work: Work, why: Exception | str) -> None:
        """See `deletion.Progress`."""
        self._unconfirmed.append(Unanswered(work.node_name, work.implementation.label, why))
        self._dropped(work)

    def _dropped(self, work: Work) -> None:
        if work.link is not None and work.may_exist:
            self.links.add(work.link)
        if work in self._discarded:
            self._discarded.remove(work)
        elif self._dropping is not None:
            self._dropping.done(work)

    def forget_configuration(self) -> None:
        """Have the configuration managers forget the infrastructure."""
        for link in self._deletion.managers:
            # What a configuration manager keeps costs no money: it must not keep the rest alive.
            with contextlib.suppress(ProviderError):
                link.plugin.forget_infrastructure(self._runtime.scope.infra_id)

    # What templates may know

    def _subject(self, work: Work) -> Subject:
        # One that is described no more is only to be dropped: its name is all that is left of it.
        node = self._nodes.get(work.node_name) or NodeDescription(work.node_name, type="")
        known = {name: self._addresses(name) for name in self._needed(node.name)}
        neighbours = _Neighbours(node.name, known)
        return Subject(node, work.node_id, work.record.token, work.implementation, functions(neighbours))

    def _needed(self, name: str) -> Iterable[str]:
        return self._graph.dependees(name) if name in self._blueprints else ()

    def _addresses(self, name: str) -> Sequence[Sequence[Address]]:
        records = [work.record for work in self._works.get(name, ()) if not work.dropping]
        return [record.addresses for record in sorted(records, key=lambda record: record.position)]


def _goes_by_itself(work: Work) -> bool:
    """Whether any later pass goes on with its deletion. One whose calls fail is given up in this one, and told."""
    return work.stage is Stage.DROPPING and not work.calling and not work.failures
