"""The context of a pass: one infrastructure with its rows, its lease, its execution and its interruptions."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from occopus_core.descriptions.model import Implementation, Infrastructure
from occopus_core.descriptions.text import same_description
from occopus_core.engine.differences.retries import Retries
from occopus_core.engine.instance.applicable import Applicable
from occopus_core.engine.instance.execution import Execution
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.call_limits import RENDERED_AT_ONCE, CallQueue
from occopus_core.engine.kernel.journal import Journal
from occopus_core.engine.kernel.lease import HeldLease, moment
from occopus_core.engine.kernel.loop import Steps, Waiting
from occopus_core.engine.passes.errors import AbandonedError
from occopus_core.engine.passes.quiet_infrastructures import Known
from occopus_core.engine.passes.resources import Resources
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.scaling import Answer
from occopus_core.events import Event, EventKind
from occopus_core.store.change import LEASE_SECONDS, Change
from occopus_core.store.records import (
    MAKING,
    InfrastructureRecord,
    InstanceRecord,
    Lease,
    Stage,
)

T = TypeVar("T")
MaybeLease = TypeVar("MaybeLease", bound=Lease | None)

TIDY_SECONDS = 3600.0
"""How often, in seconds, a pass removes old events."""

LEAST_INTERVAL = 1.0
"""The shortest time, in seconds, between two ticks of a pass, whatever the maintenance interval."""

POSTPONED_SECONDS = 60.0
"""Seconds for which work under way goes on while a requested description waits for a provider."""


class PassContext:
    """One infrastructure under one pass. `building` is true if an interruption rolls the pass back."""

    def __init__(self, resources: Resources, infra_id: str) -> None:
        self.resources = resources
        self.infra_id = infra_id
        self.building = False
        self._execution: Execution | None = None
        self._interruptions: list[str] = []
        self._held_lease: HeldLease | None = None
        self.reported: dict[str, object] = {}
        """Messages already reported, to avoid repeats."""
        self.compared: frozenset[tuple[str, str]] | None = None
        """The running instances, with their addresses, for which outdated ones were last looked for."""
        self.dropping: Collection[str] = ()
        """The node ids of the instances that the last pass was deleting."""
        self.retries = Retries()
        self.forget_at = -math.inf
        """When (monotonic) configuration managers are asked again to delete data of gone instances."""
        self._looked_at: float | None = None
        self.revision = -1
        """The revision of its rows that the last pass has read or written."""
        self.known: Known | None = None
        """The result of a look at a quiet infrastructure; None if its rows have to be read."""
        self.noticed = -1
        """The newest known revision."""
        self.interval: float | None = None
        """Seconds between two ticks of a pass with work under way; None for a single pass."""
        self._woken = False
        self._next_tick = math.inf
        self._tidy_at = -math.inf
        self._postponed: tuple[Infrastructure | None, float] = None, -math.inf
        self._replacing_at = -math.inf

    @property
    def is_outdated(self) -> bool:
        """True if another process has changed the infrastructure since the last pass."""
        lease = self._held_lease
        return self.noticed > (self.revision if lease is None else self.resources.store.reached(lease.lease))

    # Ticks

    def wake(self) -> None:
        """Start the next tick at once. Called by the thread of the loop."""
        self._woken = True

    @property
    def is_tick_due(self) -> bool:
        """True if the instances should be observed again."""
        ticks = self.interval is not None
        return ticks and (self._woken or self.resources.loop.clock.monotonic() >= self._next_tick)

    @property
    def is_woken(self) -> bool:
        """True if a requested tick has not started yet."""
        return self._woken

    def begin_tick(self) -> InfrastructureRecord:
        """Start a tick and return the infrastructure's record. Requests that are read later need not wake it again.

        Raises `AbandonedError` after an interruption, or a request to destroy it or for another description;
        `NoSuchInfrastructureError`, `StoreError`.
        """
        loop, store = self.resources.loop, self.resources.store
        self._woken = False
        record = store.infrastructure(self.infra_id)
        if not record.wanted or (record.expires_at is not None and record.expires_at <= loop.clock.now()):
            self._unwanted()
        elif self._is_requested(record) and self.interval is not None and not self._interruptions:
            self._woken = True  # the next pass, which builds it, follows at once
            self.interrupt("another description was requested")
        self.refuse_if_abandoned()
        if self._held_lease is not None:
            store.catch_up(self._held_lease.lease, record.revision)
        if self.interval is not None:
            seconds = max(self.interval, LEAST_INTERVAL)
            self._next_tick = loop.clock.monotonic() + seconds
            loop.after(seconds, lambda: None)
        return record

    def postpone(self, candidate: Infrastructure) -> None:
        """Let a requested description wait: ticks do not make way for it for `POSTPONED_SECONDS`."""
        self._postponed = candidate, self.resources.loop.clock.monotonic() + POSTPONED_SECONDS

    def postpone_replacements(self) -> None:
        """Let requested replacements wait: `make_way` does not end a pass for them for `POSTPONED_SECONDS`."""
        self._replacing_at = self.resources.loop.clock.monotonic() + POSTPONED_SECONDS

    def make_way(self) -> None:
        """End a pass with work under way for one that replaces instances, which follows at once.

        A single pass goes on. Raises `AbandonedError`.
        """
        due = self.resources.loop.clock.monotonic() >= self._replacing_at
        if self.interval is not None and due and not self._interruptions:
            self._woken = True
            self.interrupt("a replacement was requested")
        self.refuse_if_abandoned()

    def is_awaited(self, record: InfrastructureRecord) -> bool:
        """True if a pass with ticks should leave the infrastructure to a build of another process."""
        until = record.awaited_until
        return self.interval is not None and until is not None and self.resources.loop.clock.now() < until

    def make_way_for_build(self) -> None:
        """End the pass, also one that carries on a build, if a build of another process waits.

        Raises `StoreError` and `NoSuchInfrastructureError`.
        """
        if not self._interruptions and self.is_awaited(self.resources.store.infrastructure(self.infra_id)):
            self.interrupt("a build waits for the infrastructure")

    def _is_requested(self, record: InfrastructureRecord) -> bool:
        """True if a pass that does not build should make way for one that builds the requested description."""
        waits, until = self._postponed
        over = self.resources.loop.clock.monotonic() >= until
        return record.candidate is not None and (over or not same_description(record.candidate, waits))

    def pause(self) -> float:
        """Seconds between the last observation of the instances and this call; 0 at the first call."""
        before, self._looked_at = self._looked_at, self.resources.loop.clock.now()
        return 0.0 if before is None else self._looked_at - before

    @property
    def looked_at(self) -> float | None:
        """When the instances were last observed (seconds since 1970); None if they were not."""
        return self._looked_at

    def rest(self) -> None:
        """Nothing is wrong: later problems are reported again. Raises `StoreError`."""
        self.reported.clear()
        self.dropping = ()
        self.tidy()

    def tidy(self) -> None:
        """Remove old events from the log. Raises `StoreError`."""
        clock = self.resources.loop.clock
        if clock.monotonic() >= self._tidy_at:
            more = self.resources.store.forget_events(self.infra_id, clock.now())
            self._tidy_at = -math.inf if more else clock.monotonic() + TIDY_SECONDS

    # Interruptions

    def begin_anew(self) -> None:
        """Start another pass: forget the interruption of the last one."""
        self.building = False
        self.known = None
        self._woken = False
        self._execution = None
        self._interruptions.clear()

    def interrupt(self, reason: str) -> None:
        """Interrupt the pass: a build rolls back; the second call ends it at once. Safe in a signal handler."""
        self._interruptions.append(reason)
        self.resources.loop.post(self._heed)

    @property
    def interrupted(self) -> bool:
        """True after an interruption."""
        return bool(self._interruptions)

    @property
    def abandoned(self) -> bool:
        """True if work under way is not waited for."""
        return len(self._interruptions) > (1 if self.building else 0)

    def refuse_if_abandoned(self) -> None:
        """Raises `AbandonedError`."""
        if self.abandoned:
            raise AbandonedError

    def attended(self, steps: Steps[T]) -> Steps[T]:
        """The steps, ended at their next wait once the pass is abandoned. Raises `AbandonedError`."""
        advance = functools.partial(next, steps)
        while True:
            try:
                waiting = advance()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                yield Waiting(waiting.commit_due, functools.partial(self._over, waiting))
            except Exception as error:  # noqa: BLE001  # what came up meanwhile is for the steps to know
                advance = functools.partial(steps.throw, error)
            else:
                given_up = self.abandoned and not waiting.over()
                advance = (
                    functools.partial(steps.throw, AbandonedError()) if given_up else functools.partial(next, steps)
                )

    def _over(self, waiting: Waiting) -> bool:
        return waiting.over() or self.abandoned

    def _heed(self) -> None:
        if self._execution is None or not self._interruptions:
            return
        self._execution.interrupt(self._interruptions[0])
        if self.abandoned:
            self._execution.abandon()

    def _unwanted(self) -> None:
        if not self._interruptions:
            self.interrupt("its destruction was requested")

    def works_called(self) -> list[Work]:
        """The instances for which the last pass has called `create`, or may still call it."""
        works = self._execution.works if self._execution is not None else []
        return [work for work in works if work.link is not None and (work.creations or work.calling)]

    # Parts of a pass

    def scope(self, infrastructure: Infrastructure) -> Scope:
        """The scope of its templates."""
        resources = self.resources
        return Scope(
            resources.store.installation,
            self.infra_id,
            infrastructure,
            resources.registry,
            resources.connections,
            resources.former,
            resources.warn,
        )

    def applicable(self, record: InfrastructureRecord) -> Applicable:
        """The description in force, and that of a build under way which changes it."""
        candidate = record.candidate if record.description is not None else None
        return Applicable(self.scope(record.current), None if candidate is None else self.scope(candidate))

    def runtime(self, scope: Scope, *, heeds_unwanted: bool = True) -> Runtime:
        """The facilities of a pass, which renew the lease from now on."""
        resources = self.resources
        unwanted = self._unwanted if heeds_unwanted else _nobody
        assert self._held_lease is not None, "a lease is taken before it is kept"
        journal = Journal(resources.store, self._held_lease, resources.loop, unwanted, resources.connections.redact)
        rendering = CallQueue(resources.loop, RENDERED_AT_ONCE)
        return Runtime(
            scope, resources.loop, journal, resources.rng, resources.observer, resources.experience, rendering
        )

    def execution(
        self,
        runtime: Runtime,
        blueprints: Mapping[str, Blueprint],
        record: InfrastructureRecord,
        works: Sequence[Work],
    ) -> Execution:
        """The execution of its instances."""
        known = [description for description in (record.description, record.candidate) if description is not None]
        nodes = {node.name: node for description in known for node in description.nodes}
        nodes.update({name: blueprint.node for name, blueprint in blueprints.items()})
        dependencies = runtime.scope.infrastructure.dependencies_of
        self._execution = Execution(runtime, blueprints, nodes, dependencies, works, self.resources.width)
        self._heed()
        return self._execution

    def recorded_works(self) -> list[Work]:
        """Its instances from the store; see `connecting`. Raises `StoreError`."""
        store = self.resources.store
        records = store.instances(self.infra_id)
        implementations = store.implementations_of(records)
        works = [self._recorded_work(record, implementations[record.implementation]) for record in records]
        held = {one.node_id: one for one in store.configurations.of(self.infra_id) if one.forget_since is None}
        for work in works:
            work.configuration = held.get(work.node_id)
        return works

    def _recorded_work(self, record: InstanceRecord, implementation: Implementation) -> Work:
        # The time of the last `create` is not recorded; while `create` may be in flight, assume the present.
        now = self.resources.loop.clock.now()
        called = now if record.stage in MAKING else min(record.since, now)  # the system time may have been set back
        return Work(record, implementation, last_called=called, creations=int(record.stage is not Stage.RESERVED))

    def tell(self, kind: EventKind, text: str) -> None:
        """Report an event of the infrastructure as a whole to the observer."""
        self.resources.observer(Event(kind, self.infra_id, text=text))

    def record(self, change: Change, kind: EventKind, text: str, node_name: str = "") -> None:
        """Store an event of the infrastructure, or of a node, with a change; report it after the commit."""
        event = Event(kind, self.infra_id, node_name, text=self.resources.connections.redact(text))
        change.add_events([(self.resources.loop.clock.now(), event)])
        change.then(lambda: self.resources.observer(event))

    def answer(self, change: Change, answers: Iterable[Answer]) -> None:
        """Store the results of requests with a change, and the events that report them."""
        redact, results = self.resources.connections.redact, list(answers)
        now = self.resources.loop.clock.now()
        change.answer_requests({one.request.id: redact(one.text) for one in results}, now)
        for one in results:
            self.record(change, one.kind, one.text, one.request.node_name)

    # Leases

    def acquire(self) -> Lease | None:
        """The lease, or None if another process holds it. Raises `NoSuchInfrastructureError`."""
        return self.take(lambda now: self.resources.store.acquire(self.infra_id, self.resources.holder, now))

    def take(self, ask: Callable[[float], MaybeLease]) -> MaybeLease:
        """The lease from the store: `ask` requests it with the present time. Propagates its errors."""
        asked = moment(self.resources.loop.clock)
        lease = ask(asked[0])
        if lease is not None:
            self._held_lease = HeldLease(lease, self.resources.loop.clock, asked)
        return lease

    @contextlib.contextmanager
    def releasing(self, lease: Lease) -> Iterator[None]:
        """Renew the lease until the end of the block, then release it. Work under way stops there."""
        self._keep_awake(lease)
        try:
            yield
        finally:
            if self._execution is not None:
                self._execution.abandon()
            self._held_lease = None
            self.revision = self.resources.store.reached(lease)
            self.resources.store.release(lease)

    def _keep_awake(self, lease: Lease) -> None:
        """Wake the loop often enough for the journal to renew the lease."""
        if self._held_lease is not None and self._held_lease.lease is lease:
            self.resources.loop.after(LEASE_SECONDS / 4, lambda: self._keep_awake(lease))


def _nobody() -> None:
    return
