"""The first steps of an instance: its connection, its request, and the calls of `create` until the provider has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from occopus_core.api.errors import ProviderError, QuotaError, TransientError
from occopus_core.api.resource import Instance, InstanceState
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.loop import Outcome
from occopus_core.engine.preparation import Prepared, Subject
from occopus_core.engine.runtime import Runtime
from occopus_core.engine.work import Work
from occopus_core.events import EventKind
from occopus_core.registry import PluginError
from occopus_core.render import TemplateError
from occopus_core.store.records import Stage


class Progress(Protocol):
    """Who is told how an instance fares."""

    def created(self, work: Work, instance: Instance) -> None:
        """The provider has it, in a state other than PROVISIONING."""

    def no_room(self, work: Work, error: QuotaError) -> None:
        """There is no room for it on this connection."""

    def failed(self, work: Work, reason: str) -> None:
        """It will not be."""

    def halted(self, work: Work) -> None:
        """It is doomed, and no call for it is under way any more."""


class Creation:
    """Creates instances. What is to be created is committed before it is asked for."""

    def __init__(self, runtime: Runtime, subject: Callable[[Work], Subject], progress: Progress) -> None:
        self._runtime = runtime
        self._subject = subject
        self._progress = progress

    def begin(self, work: Work) -> None:
        """Take a reserved instance to its provider."""
        runtime = self._runtime
        subject = self._subject(work)
        try:
            settings = runtime.scene.settings(subject)
            work.link = runtime.scene.connections.resource(work.implementation, settings)
        except (TemplateError, PluginError, DescriptionError) as error:
            self._progress.failed(work, str(error))
            return
        work.calling = True
        now = runtime.clock.now()
        runtime.journal.keep(work.implementation)
        record = work.enter(Stage.CREATING, now, connection=settings, created_at=now)
        runtime.emit(EventKind.NODE_CREATING, work, work.implementation.label)
        runtime.journal.put(record, lambda: self._prepare(work, subject))

    def resume(self, work: Work) -> None:
        """Go on with an instance that another process began: the same token finds what it made.

        The time in which nobody looked at it does not count against it.
        """
        work.calling = True
        subject = self._subject(work)
        record = work.enter(work.stage, work.record.since, created_at=self._runtime.clock.now())
        self._runtime.emit(EventKind.NODE_CREATING, work, work.implementation.label)
        self._runtime.journal.put(record, lambda: self._prepare(work, subject))

    def call(self, work: Work) -> None:
        """Ask for the instance, or for the next step of it."""
        assert work.link is not None, "an instance has a connection before its provider is called"
        work.calling = True
        work.link.gate.submit(lambda: self._create(work), lambda outcome: self._returned(work, outcome))

    def _prepare(self, work: Work, subject: Subject) -> None:
        self._runtime.loop.submit(
            lambda: self._runtime.scene.prepare(subject), lambda outcome: self._prepared(work, outcome)
        )

    def _prepared(self, work: Work, outcome: Outcome[Prepared]) -> None:
        if outcome.error is not None:
            self._go_on(work, Outcome(error=outcome.error))
            return
        work.prepared = outcome.get()
        work.restart_watch(self._runtime.clock.monotonic())
        self.call(work)

    def _create(self, work: Work) -> Instance | None:
        """Runs in the pool. None where the instance was given up while the call waited for its turn."""
        prepared = work.prepared
        assert prepared is not None, "an instance is asked for after its request was made"
        if work.doomed:
            return None
        if prepared.configuration is not None:
            prepared.configuration.link.plugin.register(prepared.configuration.node)
        work.last_called = self._runtime.clock.now()
        return work.handler.create(prepared.request)

    def _returned(self, work: Work, outcome: Outcome[Instance | None]) -> None:
        instance = outcome.value
        if instance is not None and instance.id != work.record.instance_id:
            self._runtime.journal.put(work.enter(work.stage, work.record.since, instance_id=instance.id))
        self._go_on(work, outcome)

    def _go_on(self, work: Work, outcome: Outcome[Instance | None]) -> None:
        work.calling = False
        instance, error = outcome.value, outcome.error
        if work.doomed:
            self._progress.halted(work)
        elif isinstance(error, TransientError):
            self._again(work, error)
        elif isinstance(error, QuotaError):
            self._progress.no_room(work, error)
        elif error is not None:
            self._progress.failed(work, _reason(error))
        elif instance is not None and instance.state is InstanceState.PROVISIONING:
            self.later(work)
        elif instance is not None:
            work.failures = 0
            self._progress.created(work, instance)

    def later(self, work: Work) -> None:
        """Ask for the next step of a half-made instance after a while."""
        work.failures = 0
        self._after(work, self._runtime.next_look(work, work.handler.poll_seconds), "the provider is making its parts")

    def _again(self, work: Work, error: TransientError) -> None:
        self._after(work, self._runtime.failed_call(work), str(error))

    def _after(self, work: Work, seconds: float, reason: str) -> None:
        if self._runtime.overdue(work):
            timeout = work.implementation.health_check.timeout
            self._progress.failed(work, f"not created within {timeout:g} s: {reason}")
            return
        self._runtime.waiting(work, reason)
        self._runtime.loop.after(seconds, lambda: self._call_unless_doomed(work))

    def _call_unless_doomed(self, work: Work) -> None:
        if not work.doomed:
            self.call(work)


def _reason(error: Exception) -> str:
    if isinstance(error, ProviderError | TemplateError | PluginError | DescriptionError):
        return str(error)
    return f"the plugin failed in a way its contract does not allow: {type(error).__name__}: {error}"
