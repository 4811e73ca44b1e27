"""The context of a pass: one infrastructure with its rows, its lease, its execution and its interruptions."""

from __future__ import annotations

import contextlib
import functools
import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from occopus_core.descriptions.model import Implementation, Infrastructure
from occopus_core.engine.instance.checks import HealthChecks
from occopus_core.engine.instance.execution import Execution
from occopus_core.engine.instance.manager_cleanup import ManagerCleanup, summary
from occopus_core.engine.instance.observe import Observatory
from occopus_core.engine.instance.runtime import Experience, Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.journal import Journal
from occopus_core.engine.kernel.lease import HeldLease, moment
from occopus_core.engine.kernel.loop import Loop, Steps, Waiting
from occopus_core.engine.passes.errors import AbandonedError, BusyError
from occopus_core.engine.passes.quiet_infrastructures import Known
from occopus_core.engine.passes.retries import Retries
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.preparation import Scope
from occopus_core.events import Event, EventKind, Observer
from occopus_core.registry import Registry
from occopus_core.store.change import LEASE_SECONDS, SKEW_SECONDS
from occopus_core.store.records import (
    MAKING,
    InfrastructureRecord,
    InstanceRecord,
    Lease,
    Stage,
)
from occopus_core.store.repository import Store

T = TypeVar("T")
MaybeLease = TypeVar("MaybeLease", bound=Lease | None)

TIDY_SECONDS = 3600.0
"""How often a pass looks for events that are old enough to be forgotten."""

FORGET_SECONDS = 60.0
"""How often a configuration manager that does not forget what is gone is asked again."""

LEAST_INTERVAL = 1.0
"""Seconds between two ticks of a pass, however short the interval of maintenance is."""

LEASE_POLL = 0.25
"""Seconds between two tries for a lease that another process holds."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What all passes of a process share."""

    store: Store
    registry: Registry
    connections: Connections
    observatory: Observatory
    checks: HealthChecks
    loop: Loop
    rng: random.Random
    width: int | None
    """How many instances of an infrastructure may be on their way at once, None for all that can be."""
    observer: Observer
    holder: str
    """Names this process to others who want the same infrastructure."""
    experience: Experience = field(default_factory=Experience)
    former: bool = False
    """Whether templates are taken as in 1.x, see `occopus_core.templates_1x.Manners`."""
    warn: Callable[[str], object] = lambda _: None
    """Called with what was put right in templates."""


class PassContext:
    """One infrastructure under one pass. `building` is true where an interruption is answered by undoing."""

    def __init__(self, resources: Resources, infra_id: str) -> None:
        self.resources = resources
        self.infra_id = infra_id
        self.building = False
        self._execution: Execution | None = None
        self._interruptions: list[str] = []
        self._held_lease: HeldLease | None = None
        self.reported: dict[str, object] = {}
        """Messages already reported, to avoid repeats."""
        self.dropping: Collection[str] = ()
        """The node ids of what the last pass was dropping."""
        self.retries = Retries()
        self._forget_at = -math.inf
        self._looked_at: float | None = None
        self.revision = -1
        """The revision of its rows that the last pass has seen or made."""
        self.known: Known | None = None
        """What was found where all was well; None where the rows have to be read."""
        self.noticed = -1
        """The newest revision that was heard of."""
        self.interval: float | None = None
        """Seconds between two ticks of a pass that has something under way; None where it looks once."""
        self._woken = False
        self._next_tick = math.inf
        self._tidy_at = -math.inf

    @property
    def is_outdated(self) -> bool:
        """True where somebody else has changed it since the last pass."""
        lease = self._held_lease
        return self.noticed > (self.revision if lease is None else self.resources.store.reached(lease.lease))

    # Ticks

    def wake(self) -> None:
        """Have the next tick at once. Called by the thread of the loop."""
        self._woken = True

    @property
    def is_tick_due(self) -> bool:
        """Whether the instances should be looked at again."""
        ticks = self.interval is not None
        return ticks and (self._woken or self.resources.loop.clock.monotonic() >= self._next_tick)

    @property
    def is_woken(self) -> bool:
        """True where a tick was asked for that has not begun."""
        return self._woken

    def begin_tick(self) -> InfrastructureRecord:
        """The infrastructure as it is by now; requests that are read afterwards need not wake it again.

        Raises `AbandonedError` where an end was asked for, or it is to be destroyed; `NoSuchInfrastructureError`,
        `StoreError`.
        """
        loop, store = self.resources.loop, self.resources.store
        self._woken = False
        record = store.infrastructure(self.infra_id)
        if not record.wanted:
            self._unwanted()
        self.refuse_if_abandoned()
        if self._held_lease is not None:
            store.catch_up(self._held_lease.lease, record.revision)
        if self.interval is not None:
            seconds = max(self.interval, LEAST_INTERVAL)
            self._next_tick = loop.clock.monotonic() + seconds
            loop.after(seconds, lambda: None)
        return record

    def pause(self) -> float:
        """Seconds since the instances were last looked at, which is now; 0 the first time."""
        before, self._looked_at = self._looked_at, self.resources.loop.clock.now()
        return 0.0 if before is None else self._looked_at - before

    def rest(self) -> None:
        """All is well: what begins from now on is reported again. Raises `StoreError`."""
        self.reported.clear()
        self.dropping = ()
        self.tidy()

    def tidy(self) -> None:
        """Keep the log from growing without end. Raises `StoreError`."""
        clock = self.resources.loop.clock
        if clock.monotonic() >= self._tidy_at:
            more = self.resources.store.forget_events(self.infra_id, clock.now())
            self._tidy_at = -math.inf if more else clock.monotonic() + TIDY_SECONDS

    # Interruptions

    def begin_anew(self) -> None:
        """Another pass begins: what interrupted the last one is over."""
        self.building = False
        self.known = None
        self._woken = False
        self._execution = None
        self._interruptions.clear()

    def interrupt(self, reason: str) -> None:
        """Ask for an end: a build undoes itself, and ends at once at the second time. Safe in a signal handler."""
        self._interruptions.append(reason)
        self.resources.loop.post(self._heed)

    @property
    def interrupted(self) -> bool:
        """True once somebody asked for an end."""
        return bool(self._interruptions)

    @property
    def abandoned(self) -> bool:
        """True where what is under way is not waited for."""
        return len(self._interruptions) > (1 if self.building else 0)

    def refuse_if_abandoned(self) -> None:
        """Raises `AbandonedError`."""
        if self.abandoned:
            raise AbandonedError

    def attended(self, steps: Steps[T]) -> Steps[T]:
        """The steps, given up wherever they wait once they are abandoned. Raises `AbandonedError`."""
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
            self.interrupt("its destruction was asked for")

    def works_called(self) -> list[Work]:
        """The instances that the last pass has called `create` for, or still may have."""
        works = self._execution.works if self._execution is not None else []
        return [work for work in works if work.link is not None and (work.creations or work.calling)]

    # What a pass is made of

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

    def runtime(self, scope: Scope, *, heeds_unwanted: bool = True) -> Runtime:
        """The facilities of a pass; from now on the lease is kept."""
        resources = self.resources
        unwanted = self._unwanted if heeds_unwanted else _nobody
        assert self._held_lease is not None, "a lease is taken before it is kept"
        journal = Journal(resources.store, self._held_lease, resources.loop, unwanted, resources.connections.redact)
        return Runtime(scope, resources.loop, journal, resources.rng, resources.observer, resources.experience)

    def execution(
        self,
        runtime: Runtime,
        blueprints: Mapping[str, Blueprint],
        record: InfrastructureRecord,
        works: Sequence[Work],
    ) -> Execution:
        """The instances on their way."""
        known = [description for description in (record.description, record.candidate) if description is not None]
        nodes = {node.name: node for description in known for node in description.nodes}
        nodes.update({name: blueprint.node for name, blueprint in blueprints.items()})
        dependencies = runtime.scope.infrastructure.dependencies
        self._execution = Execution(runtime, blueprints, nodes, dependencies, works, self.resources.width)
        self._heed()
        return self._execution

    def recorded_works(self) -> list[Work]:
        """Its instances as the store has them; see `connect`. Raises `StoreError`."""
        store = self.resources.store
        records = store.instances(self.infra_id)
        implementations = store.implementations_of(records)
        works = [self._recorded_work(record, implementations[record.implementation]) for record in records]
        held = {one.node_id: one for one in store.configurations.of(self.infra_id) if one.forget_since is None}
        for work in works:
            work.configuration = held.get(work.node_id)
        return works

    def _recorded_work(self, record: InstanceRecord, implementation: Implementation) -> Work:
        # When `create` was last called is not recorded: while it may be, it may have been a moment ago.
        now = self.resources.loop.clock.now()
        called = now if record.stage in MAKING else min(record.since, now)  # the time may have been set back
        return Work(record, implementation, last_called=called, creations=int(record.stage is not Stage.RESERVED))

    def forget(self, execution: Execution) -> Steps[None]:
        """Have configuration managers forget the infrastructure, of which nothing is left. Raises `StoreError`."""
        rows = self.resources.store.configurations
        execution.flush()
        yield from execution.forget(rows.of(self.infra_id), rows.managers(self.infra_id), rows.infrastructure_forgotten)
        execution.flush()

    def forget_left(self, runtime: Runtime) -> Steps[None]:
        """Have configuration managers forget instances that are gone. Those that are away are left for later."""
        clock, rows = self.resources.loop.clock, self.resources.store.configurations
        if clock.monotonic() < self._forget_at:
            return
        records = [record for record in rows.of(self.infra_id) if record.forget_since is not None]
        if not records:
            return
        scope, journal = runtime.scope, runtime.journal
        cleanup = ManagerCleanup(runtime.loop, scope.connections, scope.installation, journal.refuse_if_lost)
        left = yield from cleanup.all(records, journal.commit_due, journal.forgotten)
        journal.flush()
        text = "; ".join(summary(left, cleanup.away))
        if left:
            self._forget_at = clock.monotonic() + FORGET_SECONDS
        if text and self.reported.get("forgetting") != text:
            runtime.tell(EventKind.NOT_FORGOTTEN, text)
            journal.flush()
        self.reported["forgetting"] = text

    def connect(self, works: Iterable[Work]) -> None:
        """Give them the connections that their providers are asked over. Raises `PluginError`, `DescriptionError`."""
        for work in works:
            if work.stage is not Stage.RESERVED:
                work.link = self.resources.connections.resource(work.implementation, work.record.connection)

    def tell(self, kind: EventKind, text: str) -> None:
        """Tell the observer something of the infrastructure as a whole."""
        self.resources.observer(Event(kind, self.infra_id, text=text))

    # Leases

    def acquire(self) -> Lease | None:
        """The lease, or None while another process has it. Raises `NoSuchInfrastructureError`."""
        return self.take(lambda now: self.resources.store.acquire(self.infra_id, self.resources.holder, now))

    def take(self, ask: Callable[[float], MaybeLease]) -> MaybeLease:
        """The lease that the store gives when it is asked, which is told the time of day. Raises what that raises."""
        asked = moment(self.resources.loop.clock)
        lease = ask(asked[0])
        if lease is not None:
            self._held_lease = HeldLease(lease, self.resources.loop.clock, asked)
        return lease

    def acquire_soon(self) -> Steps[Lease]:
        """The lease, unless another process has it.

        One that would last longer than leases do was taken before the time of day was set back, so nobody knows when it
        ends: it is looked at for as long as one lasts.

        Raises `BusyError`, `AbandonedError`, `NoSuchInfrastructureError`.
        """
        lease = self.acquire()
        if lease is None:
            end, now = self.resources.store.lease_end(self.infra_id), self.resources.loop.clock.now()
            set_back = end is not None and end > now + LEASE_SECONDS + SKEW_SECONDS
            patience = LEASE_SECONDS + SKEW_SECONDS
            lease = (yield from self.acquire_in_time(patience)) if set_back else self._acquire_now()
        return lease

    def _acquire_now(self) -> Lease:
        lease = self.acquire()
        if lease is None:
            holder = self.resources.store.holder(self.infra_id)
            raise BusyError(f"{holder} is working on the infrastructure '{self.infra_id}'")
        return lease

    def acquire_in_time(self, patience: float = math.inf) -> Steps[Lease]:
        """The lease, once whoever has it lets go or dies; `patience` is in seconds.

        A lease that is not renewed for as long as one lasts has run out, whatever the time of day: that may have been
        set since it was taken.

        Raises `BusyError` after that, `AbandonedError`, `NoSuchInfrastructureError`.
        """
        clock = self.resources.loop.clock
        given_up_at = clock.monotonic() + patience
        lease = self.acquire()
        if lease is None:
            self.tell(EventKind.WAITING, f"for {self.resources.store.holder(self.infra_id)}, which is working on it")
        end, seen_since = None, clock.monotonic()
        while lease is None:
            yield from self.resources.loop.pause(LEASE_POLL)
            self.refuse_if_abandoned()
            renewed = self.resources.store.lease_end(self.infra_id)
            if renewed != end:
                end, seen_since = renewed, clock.monotonic()
            elif end is not None and clock.monotonic() - seen_since > LEASE_SECONDS:
                lease = self._take_over(end)
                continue
            lease = self.acquire() if clock.monotonic() < given_up_at else self._acquire_now()
        return lease

    def _take_over(self, end: float) -> Lease | None:
        """What lasts until `end` by a time of day that is no more."""
        store, holder = self.resources.store, self.resources.holder
        return self.take(lambda now: store.acquire(self.infra_id, holder, max(end, now)))

    @contextlib.contextmanager
    def releasing(self, lease: Lease) -> Iterator[None]:
        """Gives the lease back at the end, and keeps it until then. What is under way at the end stops there."""
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
