"""Makes a created instance ready: waits for its boot, has it configured, and runs its health checks."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from occopus_core.api.errors import TransientError
from occopus_core.api.resource import Instance, InstanceId, InstanceState
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.creation import Creation
from occopus_core.engine.instance.lifecycle import Lifecycle
from occopus_core.engine.instance.observe import Described, Descriptions, describe, of_one
from occopus_core.engine.instance.progress import Progress
from occopus_core.engine.instance.proving import Proving
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.planning.plan import LOST
from occopus_core.events import EventKind
from occopus_core.render import TemplateError
from occopus_core.store.records import Stage

_WATCHED = frozenset({Stage.BOOTING, Stage.CONFIGURING})
"""The stages in which the provider is polled for the instance."""


class Readiness:
    """Watches instances until they are ready."""

    def __init__(
        self,
        runtime: Runtime,
        lifecycle: Lifecycle,
        creation: Creation,
        configuring: Configuring,
        progress: Progress,
    ) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._creation = creation
        self._configuring = configuring
        self._progress = progress
        self._describing: dict[object, Batch[Work, Descriptions]] = {}
        self._proving = Proving(runtime, lifecycle, self._finish, progress.failed)

    def watch(self, work: Work, instance: Instance) -> None:
        """Watch an instance from the answer of `create` on."""
        if instance.state is InstanceState.READY:
            self._running(work, instance)
            return
        record = self._lifecycle.enter(work, Phase.BOOTING, addresses=instance.addresses)
        self._runtime.emit(EventKind.NODE_BOOTING, work)
        self._runtime.journal.put(record)
        work.restart_watch(self._runtime.clock.monotonic())
        self._look_again(work)

    # Booting

    def _look_again(self, work: Work, delay: float | None = None) -> None:
        assert work.link is not None, "an instance has a connection before it is looked at"
        link, bounds = work.link, work.handler.poll_seconds
        if link not in self._describing:
            self._describing[link] = Batch(
                self._runtime.loop,
                bounds[0],
                lambda work: work.stage in _WATCHED and not work.dropping,
                functools.partial(link.limits.submit, what="describe"),
                lambda works: describe(link.plugin, [_id(work) for work in works]),
                self._described,
                lambda works: self._lifecycle.queue((w for w in works if w.stage is Stage.BOOTING), link.limits.moved),
            )
        if delay is None:
            kind, waited = work.record.fingerprint, self._runtime.waited(work)
            delay = self._runtime.experience.boots.next_look(kind, waited, bounds)
        if work.stage is Stage.BOOTING:  # later on, the checks keep the time
            delay = self._lifecycle.in_time(work, delay)
        self._describing[link].add(work, delay)

    def _described(self, works: Sequence[Work], outcome: Described) -> None:
        for work in works:
            if work.dropping or work.stage not in _WATCHED:
                continue
            one = of_one(outcome, _id(work))
            if work.stage is Stage.CONFIGURING:
                self._glanced(work, one)
            elif one.error is not None:
                self._not_described(work, one.error)
            else:
                work.failures = 0
                self._judge(work, one.get())

    def _not_described(self, work: Work, error: Exception) -> None:
        if not isinstance(error, TransientError):
            self._progress.failed(work, reason(error))
        elif not self._proving.given_up(work, str(error)):
            self._look_again(work, self._runtime.failed_call(work))

    def _judge(self, work: Work, instance: Instance) -> None:
        kind, waited = work.record.fingerprint, self._runtime.waited(work)
        if instance.state is InstanceState.READY:
            self._runtime.experience.boots.done(kind, waited)
            self._running(work, instance)
            return
        self._runtime.experience.boots.pending(kind, waited)
        if instance.state is InstanceState.PROVISIONING:
            self._creation.later(work, instance)
        elif instance.state in LOST and not self._may_be_hidden(work, instance):
            self._progress.failed(work, instance.reason or LOST[instance.state])
        elif self._lifecycle.over(work):
            self._proving.given_up(work, instance.reason or f"the provider says {_state(instance)}")
        else:
            if instance.reason:
                self._runtime.waiting(work, instance.reason)
            else:
                self._runtime.not_waiting(work)
            self._look_again(work)

    def _may_be_hidden(self, work: Work, instance: Instance) -> bool:
        window = work.handler.consistency_window
        return instance.may_be_hidden and self._runtime.clock.now() - work.last_called <= window

    # Configuring

    def _running(self, work: Work, instance: Instance) -> None:
        work.update(addresses=instance.addresses)
        assert work.prepared is not None, "an instance is prepared before it runs"
        try:
            checks = work.prepared.health_values(work.implementation, work.record.address)
        except TemplateError as error:
            self._progress.failed(work, str(error))
            return
        configuration = work.prepared.configuration
        if self._proving.running(work, checks) and configuration is None:
            self._finish(work)
            return
        phase = Phase.CHECKING if configuration is None else Phase.CONFIGURING
        record = self._lifecycle.enter(work, phase)
        self._runtime.emit(EventKind.NODE_CONFIGURING, work)
        self._runtime.journal.put(record)
        work.restart_watch(self._runtime.clock.monotonic())
        work.waiting_for = ""
        if configuration is None:
            self._proving.begin(work)
        else:
            self._configuring.begin(work, configuration.link, configuration.node, self._configured)
        self._glance_again(work)

    def _configured(self, work: Work, why: str) -> None:
        if work.dropping:
            return
        if why:
            self._progress.failed(work, why)
            return
        self._lifecycle.enter(work, Phase.CHECKING)
        work.restart_watch(self._runtime.clock.monotonic())
        self._proving.begin(work)

    def _glance_again(self, work: Work) -> None:
        """Look at the provider's state again: it shows a stopped instance sooner than the checks, with the reason."""
        bounds = work.handler.poll_seconds
        seconds = self._runtime.next_look(work, bounds) if work.proof.is_down else bounds[1]
        self._look_again(work, min(seconds, self._proving.seconds_left(work) or seconds))

    def _glanced(self, work: Work, outcome: Outcome[Instance]) -> None:
        if outcome.error is not None:
            work.remark = reason(outcome.error)
            self._glance_again(work)
            return
        instance = outcome.get()
        if instance.state in LOST and not self._may_be_hidden(work, instance):
            self._progress.failed(work, instance.reason or LOST[instance.state])
        else:
            self._consider(work, instance)

    def _consider(self, work: Work, instance: Instance) -> None:
        """The provider's state of an instance whose configuration or health checks are not complete."""
        ready = instance.state is InstanceState.READY
        work.remark = instance.reason or ("" if ready else f"it is {_state(instance)}")
        if ready:
            self._proving.reported(work)
        elif self._proving.relapsed(work, work.remark):
            return
        self._glance_again(work)

    def _finish(self, work: Work) -> None:
        # Work that this starts is committed together with it.
        self._runtime.journal.put(self._lifecycle.enter(work, Phase.READY, reason=""))
        self._progress.ready(work)


def _id(work: Work) -> InstanceId:
    assert work.record.instance_id is not None, "an instance that the provider has has an id"
    return work.record.instance_id


def _state(instance: Instance) -> str:
    return instance.raw_state or instance.state.value
