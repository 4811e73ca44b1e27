"""Prepares an instance for its deletion: has its manager let it go, then stops it.

Each step ends after a limited time. The times are stored, so that a process that takes over waits only for the
rest of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from occopus_core.api.errors import ProviderError, TransientError
from occopus_core.api.resource import Feature, InstanceId, InstanceState, ResourceHandler
from occopus_core.engine.instance.away import Away
from occopus_core.engine.instance.configuration_record import note
from occopus_core.engine.instance.id_owners import IdOwners
from occopus_core.engine.instance.leaving import Leaving
from occopus_core.engine.instance.lifecycle import Lifecycle
from occopus_core.engine.instance.observe import Described, Descriptions, describe, each_outcome, of_one
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.kernel.open_connection import OpenConnection

Then = Callable[[Work, Exception | None], None]
"""Called with an error if the provider is away, see `Away`."""


class Shutdown:
    """Prepares any number of instances for deletion, concurrently."""

    def __init__(
        self, runtime: Runtime, lifecycle: Lifecycle, leaving: Leaving, id_owners: IdOwners, away: Away
    ) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._leaving = leaving
        self._id_owners = id_owners
        self._away = away
        self._stopping: dict[
            OpenConnection[ResourceHandler], Batch[Work, Mapping[InstanceId, ProviderError | None]]
        ] = {}
        self._looking: dict[OpenConnection[ResourceHandler], Batch[Work, Descriptions]] = {}
        self._then: dict[Work, Then] = {}
        self._halted = False

    def halt(self) -> None:
        """Stop all work; a later pass continues it."""
        self._halted = True

    def begin(self, work: Work, then: Then) -> None:
        """Prepare an instance whose row is `dropping`, then call `then`."""
        self._then[work] = then
        self._leaving.begin(work, lambda: self._left(work))

    def _left(self, work: Work) -> None:
        if self._halted:
            return
        if work.configuration is not None and work.configuration.has_to_leave:
            note(self._runtime, work, has_left=True)
            if self._grace(work):
                # The time for its stop starts now.
                self._runtime.journal.put(work.update(since=self._runtime.clock.now()))
        self._stop(work)

    def expire(self, work: Work) -> None:
        """The time to stop has passed: continue its deletion, even during a call."""
        if not self._halted:
            self._done(work)

    # Stopping it

    def _grace(self, work: Work) -> float:
        """Seconds that it gets to stop; 0 to delete it at once."""
        if work.link is None or Feature.STOP not in work.handler.features:
            return 0.0
        return float(work.implementation.resource.get("stop_seconds", work.handler.stop_seconds))

    def _stop(self, work: Work) -> None:
        left, grace = self._over(work), self._grace(work)
        if left <= 0:
            self._done(work)
            return
        self._lifecycle.enter(work, Phase.STOPPING)
        self._lifecycle.arm(work, min(left, grace))
        assert work.link is not None, "an instance has a connection before it is stopped"
        link = work.link
        if link not in self._stopping:
            self._stopping[link] = Batch(
                self._runtime.loop,
                link.plugin.poll_seconds[0],
                self._waits,
                functools.partial(link.limits.submit, what="stop"),
                lambda works: self._call_stop(link.plugin, works),
                self._stopped,
            )
        self._stopping[link].add(work, 0.0)

    def _over(self, work: Work) -> float:
        """Seconds until its grace period ends."""
        grace = self._grace(work)
        return work.record.since + grace - self._runtime.clock.now() if grace else 0.0

    def _waits(self, work: Work) -> bool:
        return work in self._then and not self._halted

    def _call_stop(self, handler: ResourceHandler, works: Sequence[Work]) -> Mapping[InstanceId, ProviderError | None]:
        """Call `stop`. Runs in the pool."""
        self._runtime.journal.refuse_if_lost()
        taken = self._id_owners.breaches({work: _id(work) for work in works})
        ids = [_id(work) for work in works if _id(work) not in taken]
        return {**(each_outcome(handler, "stop", ids) if ids else {}), **taken}

    def _stopped(self, works: Sequence[Work], outcome: Outcome[Mapping[InstanceId, ProviderError | None]]) -> None:
        for work in filter(self._waits, works):
            error = outcome.error or outcome.get().get(_id(work))
            if error is not None and self._away.is_known(work, error):
                self._done(work, error)
            elif isinstance(error, TransientError):
                self._runtime.waiting(work, str(error))
                assert work.link is not None, "an instance has a connection before it is stopped"
                self._stopping[work.link].add(work, self._runtime.failed_call(work))
            elif error is not None:
                self._runtime.waiting(work, reason(error))
                self._done(work)
            else:
                work.failures = 0
                self._look(work)

    def _look(self, work: Work) -> None:
        assert work.link is not None, "an instance has a connection before it is looked at"
        link = work.link
        if link not in self._looking:
            self._looking[link] = Batch(
                self._runtime.loop,
                link.plugin.poll_seconds[0],
                self._waits,
                functools.partial(link.limits.submit, what="describe"),
                lambda works: describe(link.plugin, [_id(work) for work in works]),
                self._looked,
            )
        self._looking[link].add(work, self._runtime.next_look(work, work.handler.poll_seconds))

    def _looked(self, works: Sequence[Work], outcome: Described) -> None:
        for work in filter(self._waits, works):
            one = of_one(outcome, _id(work))
            if one.error is None and one.get().state is not InstanceState.READY:
                self._done(work)
            else:
                self._runtime.waiting(work, str(one.error or "it is shutting down"))
                self._look(work)

    def _done(self, work: Work, unreached: Exception | None = None) -> None:
        then = self._then.pop(work, None)
        if then is not None and not self._halted:
            work.failures = 0
            then(work, unreached)


def _id(work: Work) -> InstanceId:
    assert work.record.instance_id is not None, "only an instance with an id is stopped"
    return work.record.instance_id
