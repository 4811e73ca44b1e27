"""The instances that are to go: in which order they are deleted, and which deletions are left unconfirmed.

`Deletion` deletes one instance. This module decides when that may begin, whatever call is still under way for the
instance, and records how it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from occopus_core.api.resource import ResourceHandler
from occopus_core.descriptions.graph import Graph
from occopus_core.engine.instance.away import Away
from occopus_core.engine.instance.deletion import Deletion
from occopus_core.engine.instance.former_first import FormerFirst
from occopus_core.engine.instance.id_owners import IdOwners
from occopus_core.engine.instance.leaving import Leaving
from occopus_core.engine.instance.lifecycle import GRACE, Lifecycle
from occopus_core.engine.instance.manager_cleanup import ManagerCleanup
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.shutdown import Shutdown
from occopus_core.engine.instance.start_order import StartOrder
from occopus_core.engine.instance.unanswered import Unanswered, summarise
from occopus_core.engine.instance.work import Work, Works
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.store.records import Stage


class Dropping:
    """The deletions of one infrastructure that are under way, at most `width` at once; None for no limit."""

    def __init__(
        self,
        runtime: Runtime,
        lifecycle: Lifecycle,
        works: Works,
        leaving: Leaving,
        cleanup: ManagerCleanup,
        id_owners: IdOwners,
        former_first: FormerFirst,
        withdraw: Callable[[Sequence[Work]], None],
        width: int | None,
    ) -> None:
        """`withdraw` ends what is under way to configure instances that are to go."""
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._works = works
        self._former_first = former_first
        self._withdraw = withdraw
        self._order = StartOrder(width, self._start)
        self._discarded: set[Work] = set()
        """Instances that are deleted apart from the order."""
        away = Away(runtime.clock)
        shutdown = Shutdown(runtime, lifecycle, leaving, id_owners, away)
        self._deletion = Deletion(runtime, lifecycle, shutdown, cleanup, id_owners, away, self)
        self._unconfirmed: list[Unanswered] = []
        self._halted = False
        self.unsearched: list[str] = []
        """The providers that could not be searched for instances, each with the reason."""
        self.links: set[OpenConnection[ResourceHandler]] = set()
        """The connections on which a dropped creation may have left an instance."""

    @property
    def unconfirmed(self) -> list[str]:
        """The instances whose deletion no provider has confirmed."""
        return [*summarise(self._unconfirmed), *self.unsearched]

    @property
    def finished(self) -> bool:
        """True if no deletion is under way."""
        return self._order.finished and not self._discarded

    def goes_on_alone(self) -> bool:
        """True if any later pass continues the deletions. One whose calls fail ends in this pass and is reported."""
        return all(map(_goes_by_itself, self.under_way))

    @property
    def under_way(self) -> list[Work]:
        """The instances whose deletion goes on: it is neither confirmed nor left unconfirmed."""
        return [work for work in self._works.all() if work.dropping and not self._deletion.has_left(work)]

    # What is to go

    def add(self, works: Iterable[Work], graph: Graph) -> None:
        """Drop these instances, dependents before their dependees; those of unknown nodes at once."""
        works = [work for work in works if work not in self._discarded and not self._deletion.has_left(work)]
        self._withdraw(works)
        known = frozenset(graph.order)
        order = tuple(reversed(graph.order))
        self._order.add(works, order, lambda name: graph.dependents(name) if name in known else ())

    def add_early(self, work: Work) -> None:
        """Delete an instance that is to go, before its turn, for a new one that needs what it holds. Idempotent."""
        if work in self._discarded or work in self._order:
            return
        self._discarded.add(work)
        self._withdraw([work])
        self._start(work)

    def add_failed(self, work: Work) -> None:
        """Delete an instance that could not be made ready, and for which no call is under way, apart from the order."""
        self._discarded.add(work)
        self._deletion.begin(work)

    def add_declined(self, work: Work) -> None:
        """Delete what a declined creation may have left, while another implementation is tried for its row."""
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
        self._works.add(remains)
        self.add_failed(remains)

    # When its deletion begins

    def _start(self, work: Work) -> None:
        work.may_drop = True
        if not work.calling or work.given_up:
            self._deletion.begin(work)
        elif self._lifecycle.queued(work):  # a queued call is cancelled
            self._start_without(work)
        else:
            self._runtime.loop.after(GRACE, lambda: self._start_without(work))

    def _start_without(self, work: Work) -> None:
        """A call has not returned in time: find and delete its instance without waiting for it."""
        if work.calling and not work.given_up and not self._halted:
            work.given_up = True
            work.may_exist = work.may_exist or self._runtime.may_be_making(work)
            self._deletion.begin(work)

    def returned(self, work: Work) -> None:
        """No call is under way any more for an instance that is to be dropped."""
        if work.may_drop and not work.given_up and work in self._works:
            self._deletion.begin(work)

    # How it ends

    def expire(self, work: Work) -> None:
        """The time limit of its stop or its deletion has passed."""
        self._deletion.expire(work)

    def gone(self, work: Work) -> None:
        """The instance is gone, and its row is removed."""
        self._works.remove(work)
        self._ended(work)
        self._former_first.gone(work)

    def unconfirmed_deletion(self, work: Work, why: Exception | str) -> None:
        """The provider does not confirm the deletion now; the row stays for a later pass."""
        self._unconfirmed.append(Unanswered(work.node_name, work.implementation.label, why))
        self._ended(work)
        self._former_first.unconfirmed(work, why)

    def given_up(self, work: Work) -> None:
        """Its row is removed although the provider has not confirmed its deletion."""
        self._works.remove(work)
        self._unconfirmed = [each for each in self._unconfirmed if each.place != work.implementation.label]

    def _ended(self, work: Work) -> None:
        if work.link is not None and work.may_exist:
            self.links.add(work.link)
        if work in self._discarded:
            self._discarded.remove(work)
        else:
            self._order.done(work)

    def halt(self) -> None:
        """Stop all work; a later pass continues it."""
        self._halted = True
        self._deletion.halt()


def _goes_by_itself(work: Work) -> bool:
    return work.stage is Stage.DROPPING and (not work.calling or work.given_up) and not work.failures
