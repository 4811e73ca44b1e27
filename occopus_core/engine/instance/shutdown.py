"""Prepares an instance for its deletion: cancels its job, has its manager take it out of service, stops it.

Each step ends after a limited time. The times are stored, so that a process that takes over waits only for the
rest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from occopus_core.api.errors import PermanentError, ProviderError, TransientError
from occopus_core.api.resource import Feature, Instance, InstanceId, InstanceState, ResourceHandler
from occopus_core.engine.instance.configuration import Configuring, note
from occopus_core.engine.instance.lifecycle import Lifecycle, phase_of
from occopus_core.engine.instance.neighbours import recorded_node
from occopus_core.engine.instance.observe import describe
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.intervals import poll_interval
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.kernel.open_connection import OpenConnection

Then = Callable[[Work], None]


class Shutdown:
    """Prepares any number of instances for deletion, concurrently."""

    def __init__(self, runtime: Runtime, lifecycle: Lifecycle, configuring: Configuring) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._configuring = configuring
        self._stopping: dict[
            OpenConnection[ResourceHandler], Batch[Work, Mapping[InstanceId, ProviderError | None]]
        ] = {}
        self._looking: dict[OpenConnection[ResourceHandler], Batch[Work, Mapping[InstanceId, Instance]]] = {}
        self._then: dict[Work, Then] = {}
        self._overdue: dict[Work, str] = {}
        """The message for an instance that is not taken out of service in time."""
        self._halted = False

    def halt(self) -> None:
        """Stop all work; a later pass continues it."""
        self._halted = True

    def begin(self, work: Work, then: Then) -> None:
        """Prepare an instance whose row is `dropping`, then call `then`."""
        self._then[work] = then
        self._configuring.end_job(work, lambda: self._leave(work))

    # Taking it out of service

    def _leave(self, work: Work) -> None:
        record = work.configuration
        if self._halted:
            return
        if record is None or not record.has_to_leave:
            self._stop(work)
            return
        try:
            link = self._runtime.scope.connections.config(record.section)
        except Exception:  # noqa: BLE001  # the plugin, or its credentials, are gone: that keeps nothing alive
            self._left(work)
            return
        limit = float(link.plugin.leave_seconds)
        left = work.record.since + limit - self._runtime.clock.now()
        self._overdue[work] = f"{link.label} did not let it go within {limit:g} s"
        if left <= 0:
            self._left(work, self._overdue[work])
            return
        self._lifecycle.arm(work, min(left, limit))  # the system time may have been set back
        self._ask_to_leave(work, link)

    def _ask_to_leave(self, work: Work, link: ManagerConnection) -> None:
        node = recorded_node(work, self._runtime.scope.installation)

        def leave() -> bool:
            self._runtime.journal.refuse_if_lost()
            return link.leave(node)

        def answered(outcome: Outcome[bool]) -> None:
            if not self._is_leaving(work):
                return
            if outcome.value:
                self._left(work)
            elif outcome.error is None or isinstance(outcome.error, TransientError):
                self._runtime.waiting(work, str(outcome.error or f"{link.label} is taking it out of service"))
                pause = poll_interval(self._runtime.clock.now() - work.record.since, link.plugin.poll_seconds)
                again = lambda: self._ask_to_leave(work, link) if self._is_leaving(work) else None  # noqa: E731
                self._runtime.loop.after(pause, again)
            else:
                self._left(work, reason(outcome.error))

        link.limits.submit(leave, answered)

    def _is_leaving(self, work: Work) -> bool:
        return phase_of(work) is Phase.LEAVING and not self._halted

    def expire(self, work: Work) -> None:
        """The time to leave or to stop has passed: continue its deletion, even during a call."""
        if self._halted:
            return
        if phase_of(work) is Phase.LEAVING:
            self._left(work, self._overdue[work])
        else:
            self._done(work)

    def _left(self, work: Work, why: str = "") -> None:
        if why:
            self._runtime.waiting(work, why)
        note(self._runtime, work, has_left=True)
        if self._grace(work):
            # The time for its stop starts now.
            self._runtime.journal.put(work.update(since=self._runtime.clock.now()))
        self._stop(work)

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
                link.limits.submit,
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
        errors = handler.stop([_id(work) for work in works])
        if not isinstance(errors, Mapping):
            raise PermanentError("the plugin's stop did not answer for each id, which its contract does not allow")
        return errors

    def _stopped(self, works: Sequence[Work], outcome: Outcome[Mapping[InstanceId, ProviderError | None]]) -> None:
        for work in filter(self._waits, works):
            error = outcome.error or outcome.get().get(_id(work))
            if isinstance(error, TransientError):
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
                link.limits.submit,
                lambda works: describe(link.plugin, [_id(work) for work in works]),
                self._looked,
            )
        self._looking[link].add(work, self._runtime.next_look(work, work.handler.poll_seconds))

    def _looked(self, works: Sequence[Work], outcome: Outcome[Mapping[InstanceId, Instance]]) -> None:
        for work in filter(self._waits, works):
            if outcome.error is None and outcome.get()[_id(work)].state is not InstanceState.READY:
                self._done(work)
            else:
                self._runtime.waiting(work, str(outcome.error or "it is shutting down"))
                self._look(work)

    def _done(self, work: Work) -> None:
        then = self._then.pop(work, None)
        if then is not None and not self._halted:
            work.failures = 0
            then(work)


def _id(work: Work) -> InstanceId:
    assert work.record.instance_id is not None, "only an instance with an id is stopped"
    return work.record.instance_id
