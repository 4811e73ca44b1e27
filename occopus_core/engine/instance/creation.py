"""Creates an instance: opens its connection, renders its request, and calls `create` until the provider has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from occopus_core.api.config import ConfigManager, ConfigNode
from occopus_core.api.errors import ProviderError, QuotaError, TransientError
from occopus_core.api.resource import CreateRequest, Feature, Instance, InstanceState, ResourceHandler
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.configuration_record import adopt, renounce
from occopus_core.engine.instance.former_first import FormerFirst
from occopus_core.engine.instance.id_owners import IdOwners
from occopus_core.engine.instance.lifecycle import GRACE, Lifecycle, overdue, phase_of
from occopus_core.engine.instance.progress import Progress
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.template_values import TemplateValues
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.guard import wrong_answer
from occopus_core.engine.kernel.instances import WrongInstanceError, instance_of
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.planning.fingerprints import rendered_fingerprint
from occopus_core.engine.planning.preparation import Prepared, Subject
from occopus_core.events import EventKind
from occopus_core.printable import one_line
from occopus_core.registry import PluginError
from occopus_core.render import TemplateError
from occopus_core.sound_errors import LONGEST_TEXT
from occopus_core.store.records import UNKNOWN_REQUEST, Stage

UNREACHED_SECONDS = 10.0
"""How long an unreachable provider is tried again before another implementation takes over."""

SLOW_SECONDS = 30.0
"""Seconds after which a call that has not returned is reported: within these a plugin has to end every call."""

NOT_DELETED = "nothing was deleted for it"
"""Said of an instance that cannot be created, and for which others were to be deleted."""

AWAIT_SECONDS = (1.0, 10.0)
"""Bounds of the seconds between two checks for an attribute that a mapping waits for."""


class Creation:
    """Creates instances. The intent is committed before each call."""

    def __init__(
        self,
        runtime: Runtime,
        lifecycle: Lifecycle,
        values: TemplateValues,
        configuring: Configuring,
        former_first: FormerFirst,
        id_owners: IdOwners,
        progress: Progress,
    ) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._values = values
        self._configuring = configuring
        self._former_first = former_first
        self._id_owners = id_owners
        self._progress = progress

    def begin(self, work: Work) -> None:
        """Create a reserved instance."""
        runtime = self._runtime
        awaited = self._values.awaited(work)
        if awaited:
            self._await(work, ", ".join(awaited))
            return
        work.clock = None  # what it has waited for is there: that limit is over
        work.remark = ""
        subject = self._values.subject(work)
        try:
            settings = runtime.scope.settings(subject)
            work.link = runtime.scope.connections.resource(work.implementation, settings)
        except (TemplateError, PluginError, DescriptionError) as error:
            self._progress.failed(work, str(error))
            return
        self._former_first.before(
            work,
            subject,
            lambda request, sure: self._ensure(work, request, sure),
            lambda: self._announce(work, settings),
        )

    def _ensure(self, work: Work, request: CreateRequest, sure: Callable[[], None]) -> None:
        """Call `sure` once the provider has all that the instance needs. Nothing is made for the instance before."""
        if Feature.ENSURE not in work.handler.features:
            sure()
            return
        if phase_of(work) is not Phase.ENSURING:
            self._lifecycle.enter(work, Phase.ENSURING)
            work.remark = NOT_DELETED
            work.restart_watch(self._runtime.clock.monotonic())
        assert work.link is not None, "an instance has a connection before its provider is called"
        limits, redact = work.link.limits, self._runtime.scope.connections.redact
        begun = self._lifecycle.queue([work], limits.moved)

        def ensure() -> str:
            begun()
            return "" if work.dropping else ensured(work.handler, request, redact)

        def returned(outcome: Outcome[str]) -> None:
            begun()  # it may have been refused
            self._ensured(work, outcome, sure, lambda work: self._ensure(work, request, sure))

        limits.submit(ensure, returned, "ensure")

    def _ensured(
        self, work: Work, outcome: Outcome[str], sure: Callable[[], None], again: Callable[[Work], None]
    ) -> None:
        if work.dropping:
            return
        if outcome.error is not None:
            self._refused(work, outcome.error, again)
        elif outcome.value:
            work.failures = 0
            self._after(work, self._runtime.next_look(work, work.handler.poll_seconds), outcome.value, again)
        else:
            work.clock = None  # that limit is over
            work.remark = ""
            self._runtime.not_waiting(work)
            sure()

    def _announce(self, work: Work, settings: str) -> None:
        """Record that it is about to be created."""
        runtime, subject = self._runtime, self._values.subject(work)
        work.calling = True
        work.may_exist = False
        work.creations = 0
        runtime.journal.keep(work.implementation)
        now = runtime.clock.now()
        record = self._lifecycle.enter(work, Phase.PREPARING, connection=settings, created_at=now)
        runtime.emit(EventKind.NODE_CREATING, work, work.implementation.label)
        runtime.journal.put(record, lambda: self._prepare(work, subject))

    def _await(self, work: Work, what: str) -> None:
        """Wait for attributes that a mapping needs (`synch`), with a time limit."""
        if phase_of(work) is not Phase.AWAITING:
            self._lifecycle.enter(work, Phase.AWAITING)
            work.restart_watch(self._runtime.clock.monotonic())
        if self._lifecycle.over(work):
            self._progress.failed(work, f"{what} was {overdue(work)}")
            return
        self._runtime.waiting(work, f"for {what}")
        delay = self._runtime.next_look(work, AWAIT_SECONDS)
        self._runtime.loop.after(delay, lambda: self._progress.halted(work) if work.dropping else self.begin(work))

    def resume(self, work: Work) -> None:
        """Continue the creation that another process started: `create` with the same token finds its result."""
        work.calling = True
        subject = self._values.subject(work)
        record = self._lifecycle.resume(work, created_at=self._runtime.clock.now(), answered=False)
        self._runtime.emit(EventKind.NODE_CREATING, work, work.implementation.label)
        self._runtime.journal.put(record, lambda: self._prepare(work, subject, resumed=True))

    def call(self, work: Work) -> None:
        """Call `create`, for the instance or for its next step."""
        work.calling = True
        if phase_of(work) is Phase.PREPARING:
            self._lifecycle.enter(work, Phase.CREATING)
        if work.record.answered:  # a second call is recorded before it is made
            self._runtime.journal.put(work.update(answered=False), lambda: self._ask(work))
        else:
            self._ask(work)

    def _ask(self, work: Work) -> None:
        assert work.link is not None, "an instance has a connection before its provider is called"
        limits = work.link.limits
        begun = self._lifecycle.queue([work], limits.moved)
        under_way, call, token = self._runtime.experience.creating, object(), work.record.token

        def create() -> Instance | None:
            begun()
            under_way.begin(call, token)  # before the check whether the call may be made
            return self._create(work)

        def returned(outcome: Outcome[Instance | None]) -> None:
            begun()  # it may have been refused
            under_way.end(call)
            self._returned(work, outcome)

        limits.submit(create, returned, "create")
        self._runtime.loop.after(SLOW_SECONDS, lambda: self._note_slow(work, call))

    def _note_slow(self, work: Work, call: object) -> None:
        """Say what an instance waits for whose call has begun and has not returned."""
        if self._runtime.experience.creating.lasts(call) and not work.dropping:
            end = f"given up {GRACE:g} s after its limit of {work.implementation.health_check.timeout:g} s"
            self._runtime.waiting(work, f"create() of {work.implementation.label} has not returned yet ({end})")

    def _prepare(self, work: Work, subject: Subject, *, resumed: bool = False) -> None:
        queue, scope = self._runtime.rendering, self._runtime.scope
        has_dependees = any(self._values.dependees(work.node_name))
        begun = self._lifecycle.queue([work], queue.moved)

        def prepare() -> tuple[Prepared, str]:
            begun()
            return scope.prepare(subject), rendered_fingerprint(scope, subject) if has_dependees else ""

        queue.submit(prepare, lambda outcome: self._prepared(work, outcome, resumed=resumed))

    def _prepared(self, work: Work, outcome: Outcome[tuple[Prepared, str]], *, resumed: bool) -> None:
        if outcome.error is not None or work.dropping:
            self._go_on(work, Outcome(error=outcome.error))
            return
        work.prepared, rendered = outcome.get()
        if resumed and work.record.instance_id:
            rendered = work.record.rendered  # the instance was made from the request of the other process
        elif resumed and rendered != work.record.rendered:
            rendered = UNKNOWN_REQUEST  # of two requests with one token the provider takes the first that arrives
        if rendered != work.record.rendered:
            self._runtime.journal.put(work.update(rendered=rendered))
        host_key = work.prepared.request.context.host_key
        if host_key:
            self._runtime.journal.offer_host_key(work.node_id, host_key, lambda: self._register_or_call(work))
        else:
            self._register_or_call(work)

    def _register_or_call(self, work: Work) -> None:
        assert work.prepared is not None, "an instance is prepared before it is created"
        work.restart_watch(self._runtime.clock.monotonic())
        configuration = work.prepared.configuration
        if configuration is None:
            renounce(self._runtime, work)
            self.call(work)
        else:
            adopt(self._runtime, work, configuration, lambda: self._register(work))

    def _register(self, work: Work) -> None:
        """Register it with its configuration manager; the manager's errors do not count as errors of the provider."""
        assert work.prepared is not None, "an instance is registered after it was prepared"
        assert work.prepared.configuration is not None, "only an instance with a configuration manager is registered"
        configuration = work.prepared.configuration

        def register(manager: ConfigManager, nodes: Sequence[ConfigNode]) -> None:
            return None if work.dropping else manager.register(*nodes)

        work.calling = True
        refuse = self._runtime.journal.refuse_if_lost
        begun = self._lifecycle.queue([work], configuration.link.limits.moved)
        configuration.link.ask(
            "register", register, lambda outcome: self._registered(work, outcome), refuse, begun, [configuration.node]
        )

    def _registered(self, work: Work, outcome: Outcome[None]) -> None:
        work.calling = False
        if work.dropping:
            self._progress.halted(work)
        elif outcome.error is None:
            work.failures = 0
            self.call(work)
        elif isinstance(outcome.error, TransientError):
            self._after(work, self._runtime.failed_call(work), str(outcome.error), self._register)
        else:
            self._progress.failed(work, reason(outcome.error))

    def _create(self, work: Work) -> Instance | None:
        """Call `create`. Runs in the pool. Returns None if the instance was given up while the call was queued."""
        prepared = work.prepared
        assert prepared is not None, "an instance is asked for after its request was made"
        if work.dropping:
            return None
        # The call may have been queued, or the machine asleep: another process may hold the lease.
        self._runtime.journal.refuse_if_lost()
        work.creations += 1
        work.last_called = self._runtime.clock.now()
        try:
            answer = work.handler.create(prepared.request)
        finally:  # until then it may have created something
            work.last_called = self._runtime.clock.now()
        try:
            instance = instance_of(answer)
        except WrongInstanceError as wrong:
            raise wrong_answer(work.handler, "create", str(wrong)) from None
        if instance.id != work.record.instance_id:
            for breach in self._id_owners.breaches({work: instance.id}).values():
                raise breach
        return instance

    def _returned(self, work: Work, outcome: Outcome[Instance | None]) -> None:
        if not _made_nothing(outcome.error):
            work.may_exist = True
        instance = outcome.value
        taken = self._id_owners.breach(work, "create", instance.id) if instance is not None else None
        if taken is not None:
            outcome = Outcome(error=taken)
        elif instance is not None:
            answered = work.creations == 1 and instance.state is not InstanceState.PROVISIONING
            if (instance.id, answered) != (work.record.instance_id, work.record.answered):
                self._runtime.journal.put(work.update(instance_id=instance.id, answered=answered))
        self._go_on(work, outcome)

    def _go_on(self, work: Work, outcome: Outcome[Instance | None]) -> None:
        work.calling = False
        instance, error = outcome.value, outcome.error
        if work.dropping:
            self._progress.halted(work)
        elif error is not None:
            self._refused(work, error, self.call)
        elif instance is None:
            self._progress.failed(work, "the plugin's create answered None, which its contract does not allow")
        elif instance.state is InstanceState.PROVISIONING:
            self.later(work, instance)
        else:
            work.failures = 0
            self._progress.created(work, instance)

    def later(self, work: Work, instance: Instance) -> None:
        """Ask for the next step of an instance in PROVISIONING after a delay."""
        work.failures = 0
        delay = self._runtime.next_look(work, work.handler.poll_seconds)
        self._after(work, delay, instance.reason or "the provider is creating its parts", self.call)

    def _refused(self, work: Work, error: Exception, again: Callable[[Work], None]) -> None:
        """The provider has raised an error: try it again, elsewhere, or not at all."""
        if isinstance(error, TransientError):
            self._again(work, error, again)
        elif isinstance(error, QuotaError):
            self._progress.declined(work, error)
        else:
            self._progress.failed(work, reason(error))

    def _again(self, work: Work, error: TransientError, again: Callable[[Work], None]) -> None:
        delay = self._runtime.failed_call(work)
        hopeless = error.unreached and self._runtime.failing(work) >= UNREACHED_SECONDS
        if hopeless and work.alternatives and (work.stage is Stage.RESERVED or not work.may_exist):
            self._progress.declined(work, error)
            return
        limit = work.implementation.health_check.timeout
        self._after(work, delay, str(error), again, f" (tried again; given up after {limit:g} s)", error.message)

    def _after(
        self,
        work: Work,
        seconds: float,
        reason: str,
        step: Callable[[Work], None],
        more: str = "",
        alike: str = "",
    ) -> None:
        """Take a step later. The row has what it waits for; the event of each reason is emitted once.

        `alike` is the reason without what differs at each time.
        """
        if self._lifecycle.over(work):
            self._progress.failed(work, overdue(work, reason))
            return
        wait = (work.implementation.digest, alike or reason)
        self._runtime.waiting(work, f"{reason}{more}", reported=wait in work.reported_waits)
        work.reported_waits.add(wait)
        pause = self._lifecycle.in_time(work, seconds)
        self._runtime.loop.after(pause, lambda: None if work.dropping else step(work))


def ensured(handler: ResourceHandler, request: CreateRequest, redact: Callable[[str], str]) -> str:
    """What `ensure` answers, in one line. Blocks as long as the provider does. Raises `ProviderError`."""
    answer: object = handler.ensure(request)
    if not isinstance(answer, str):
        raise wrong_answer(handler, "ensure", f"answered {type(answer).__name__}, expected a text")
    return one_line(answer, redact, LONGEST_TEXT)


def _made_nothing(error: Exception | None) -> bool:
    """True if a call that ended with this error certainly had no effect."""
    return isinstance(error, ProviderError) and error.unreached
