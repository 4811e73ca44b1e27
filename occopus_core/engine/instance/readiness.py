"""From an instance the provider has to a node that others may use: it boots, is configured, and passes its checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from occopus_core.api.config import ConfigState, ConfigStatus
from occopus_core.api.errors import TransientError
from occopus_core.api.health import Probe, Verdict
from occopus_core.api.resource import Instance, InstanceId, InstanceState
from occopus_core.engine.instance.checks import verdicts_of
from occopus_core.engine.instance.creation import Creation
from occopus_core.engine.instance.observe import describe
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.kernel.reason import reason
from occopus_core.engine.planning.plan import LOST
from occopus_core.engine.planning.preparation import Configuration
from occopus_core.events import EventKind
from occopus_core.render import TemplateError
from occopus_core.store.records import Stage

CHECK_SECONDS = (0.1, 5.0)
"""The shortest and the longest time between two looks at the health of a node that is not ready yet."""

CONFIG_SECONDS = (0.5, 10.0)
"""The same for a configuration manager."""


_WATCHED = frozenset({Stage.BOOTING, Stage.CONFIGURING})
"""The stages in which the provider is asked how the instance is."""


class Progress(Protocol):
    """Who is told how an instance fares."""

    def ready(self, work: Work) -> None:
        """All checks have passed."""

    def failed(self, work: Work, reason: str) -> None:
        """It will not be ready."""


class Readiness:
    """Watches instances until they are ready. Each has until its `timeout` after its creation began."""

    def __init__(self, runtime: Runtime, creation: Creation, progress: Progress) -> None:
        self._runtime = runtime
        self._creation = creation
        self._progress = progress
        self._describing: dict[object, Batch[Work, Mapping[InstanceId, Instance]]] = {}
        self._checking: dict[str, Batch[Work, Sequence[Verdict]]] = {}
        self._configuring: dict[object, Batch[Work, Mapping[str, ConfigStatus]]] = {}

    def watch(self, work: Work, instance: Instance) -> None:
        """Follow an instance from what `create` has answered."""
        if instance.state is InstanceState.READY:
            self._running(work, instance)
            return
        record = work.enter(Stage.BOOTING, self._runtime.clock.now(), addresses=instance.addresses)
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
                link.gate.submit,
                lambda works: describe(link.plugin, [_id(work) for work in works]),
                self._described,
            )
        if delay is None:
            kind, waited = work.record.fingerprint, self._runtime.waited(work)
            delay = self._runtime.experience.boots.next_look(kind, waited, bounds)
        self._describing[link].add(work, delay)

    def _described(self, works: Sequence[Work], outcome: Outcome[Mapping[InstanceId, Instance]]) -> None:
        for work in works:
            if work.dropping or work.stage not in _WATCHED:
                continue
            if work.stage is Stage.CONFIGURING:
                self._glanced(work, outcome)
            elif outcome.error is not None:
                self._not_described(work, outcome.error)
            else:
                work.failures = 0
                self._judge(work, outcome.get()[_id(work)])

    def _not_described(self, work: Work, error: Exception) -> None:
        if not isinstance(error, TransientError):
            self._progress.failed(work, reason(error))
        elif not self._given_up(work, str(error)):
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
        elif self._runtime.overdue(work):
            self._give_up(work, instance.reason or f"the provider says {_state(instance)}")
        else:
            if instance.reason:
                self._runtime.waiting(work, instance.reason)
            self._look_again(work)

    def _may_be_hidden(self, work: Work, instance: Instance) -> bool:
        window = work.handler.consistency_window
        return instance.may_be_hidden and self._runtime.clock.now() - work.last_called <= window

    def _given_up(self, work: Work, reason: str) -> bool:
        if self._runtime.overdue(work):
            self._give_up(work, reason)
            return True
        self._runtime.waiting(work, reason)
        return False

    def _give_up(self, work: Work, reason: str) -> None:
        timeout = work.implementation.health_check.timeout
        self._progress.failed(work, f"not ready within {timeout:g} s: {reason}")

    # Configuring

    def _running(self, work: Work, instance: Instance) -> None:
        work.enter(work.stage, work.record.since, addresses=instance.addresses)
        try:
            self._require(work)
        except TemplateError as error:
            self._progress.failed(work, str(error))
            return
        if not work.unmet and work.configured:
            self._finish(work)
            return
        record = work.enter(Stage.CONFIGURING, self._runtime.clock.now())
        self._runtime.emit(EventKind.NODE_CONFIGURING, work)
        self._runtime.journal.put(record)
        self._configure(work)

    def _require(self, work: Work) -> None:
        assert work.prepared is not None, "an instance is prepared before it runs"
        work.unmet = work.prepared.health_values(work.implementation, work.record.address)
        work.configured = work.prepared.configuration is None

    def _configure(self, work: Work) -> None:
        work.restart_watch(self._runtime.clock.monotonic())
        work.waiting_for = ""
        if not work.configured:
            self._push(work)
        for key in list(work.unmet):
            self._check_again(work, key)
        self._glance_again(work)

    def _glance_again(self, work: Work) -> None:
        """No check passes any more on what has stopped: its provider says so sooner, and why."""
        self._look_again(work, work.handler.poll_seconds[1])

    def _glanced(self, work: Work, outcome: Outcome[Mapping[InstanceId, Instance]]) -> None:
        instance = outcome.get()[_id(work)] if outcome.error is None else None
        if instance is not None and instance.state in LOST and not self._may_be_hidden(work, instance):
            self._progress.failed(work, instance.reason or LOST[instance.state])
        else:
            self._glance_again(work)

    def _push(self, work: Work) -> None:
        if not work.dropping:
            configuration = _configuration(work)
            configuration.link.gate.submit(
                lambda: configuration.link.plugin.configure(configuration.node),
                lambda outcome: self._pushed(work, outcome),
            )

    def _pushed(self, work: Work, outcome: Outcome[None]) -> None:
        if work.dropping:
            return
        if outcome.error is None:
            self._ask_manager(work, _configuration(work))
        elif not isinstance(outcome.error, TransientError):
            self._progress.failed(work, reason(outcome.error))
        elif not self._given_up(work, str(outcome.error)):
            self._runtime.loop.after(self._runtime.failed_call(work), lambda: self._push(work))

    def _ask_manager(self, work: Work, configuration: Configuration) -> None:
        link = configuration.link
        if link not in self._configuring:
            self._configuring[link] = Batch(
                self._runtime.loop,
                CONFIG_SECONDS[0],
                lambda work: not work.dropping,
                link.gate.submit,
                lambda works: link.plugin.status([_configuration(work).node for work in works]),
                self._manager_answered,
            )
        self._configuring[link].add(work, self._runtime.next_look(work, CONFIG_SECONDS))

    def _manager_answered(self, works: Sequence[Work], outcome: Outcome[Mapping[str, ConfigStatus]]) -> None:
        for work in works:
            if work.dropping:
                continue
            if outcome.error is not None and not isinstance(outcome.error, TransientError):
                self._progress.failed(work, reason(outcome.error))
                continue
            status = _status(work, outcome)
            if status.state is ConfigState.FAILED:
                self._progress.failed(work, status.reason)
            elif status.state is ConfigState.READY:
                work.configured = True
                self._finish_if_satisfied(work)
            elif not self._given_up(work, status.reason):
                self._ask_manager(work, _configuration(work))

    def _check_again(self, work: Work, key: str) -> None:
        if key not in self._checking:
            checker = self._runtime.scope.connections.checker(key)
            self._checking[key] = Batch(
                self._runtime.loop,
                CHECK_SECONDS[0],
                lambda work: not work.dropping,
                self._runtime.loop.submit,
                lambda works: checker.check([_probe(work, key) for work in works]),
                lambda works, outcome: self._checked(key, works, outcome),
            )
        self._checking[key].add(work, self._runtime.next_look(work, CHECK_SECONDS))

    def _checked(self, key: str, works: Sequence[Work], outcome: Outcome[Sequence[Verdict]]) -> None:
        for work, verdict in zip(works, verdicts_of(key, len(works), outcome), strict=True):
            if work.dropping:
                continue
            if verdict.healthy:
                work.unmet.pop(key)
                self._finish_if_satisfied(work)
            elif not self._given_up(work, verdict.reason):
                self._check_again(work, key)

    def _finish_if_satisfied(self, work: Work) -> None:
        if not work.unmet and work.configured:
            self._finish(work)

    def _finish(self, work: Work) -> None:
        # What begins because of it is committed together with it.
        self._runtime.journal.put(work.enter(Stage.READY, self._runtime.clock.now(), reason=""))
        self._progress.ready(work)


def _id(work: Work) -> InstanceId:
    assert work.record.instance_id is not None, "an instance that the provider has has an id"
    return work.record.instance_id


def _state(instance: Instance) -> str:
    return instance.raw_state or instance.state.value


def _configuration(work: Work) -> Configuration:
    assert work.prepared is not None, "an instance is prepared before it runs"
    assert work.prepared.configuration is not None, "only instances with a configuration manager are asked for"
    return work.prepared.configuration


def _status(work: Work, outcome: Outcome[Mapping[str, ConfigStatus]]) -> ConfigStatus:
    if outcome.error is not None:
        return ConfigStatus(ConfigState.PENDING, str(outcome.error))
    missing = ConfigStatus(ConfigState.PENDING, "the configuration manager does not know the node yet")
    return outcome.get().get(work.node_id, missing)


def _probe(work: Work, key: str) -> Probe:
    return Probe(work.node_id, work.record.address, work.unmet[key])
