"""Periodic maintenance of any number of infrastructures on one loop with one bounded pool."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.passes.abandoned import forget_abandoned
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import AbandonedError, BusyError, Passed
from occopus_core.engine.passes.looks import RECORD_SECONDS, Looks
from occopus_core.engine.passes.maintaining import maintain
from occopus_core.engine.passes.quiet_infrastructures import Known, Tick
from occopus_core.engine.passes.resources import Resources
from occopus_core.store.records import NoSuchInfrastructureError, StoreError

STOP_SECONDS = 0.8
"""How long passes under way are waited for when maintenance stops."""

SLOTS_PER_INTERVAL = 10
"""The number of moments in an interval at which passes start: passes that start together share provider calls."""

FORGET_SECONDS = 60.0
"""How often, in seconds, configuration managers are asked to delete data of gone infrastructures."""

BEAT_SECONDS = 10.0
"""How often, in seconds, a process that maintains infrastructures records that it is there."""

WAKE_SECONDS = 1.0
"""How often, in seconds, the store is polled for changes by other processes."""

MIN_PER_SLOT = 20
"""The number of passes that may always start together. Larger numbers are spread over the interval, to avoid load
peaks."""


class MaintenanceLoop:
    """Runs passes over infrastructures, each again `interval` seconds, or slightly less, after its last one has ended.

    An error of a pass (store unavailable, failed build) is reported once, until it changes, and the next pass tries
    again. `told` gets the id and the message, which is empty once the error is gone.
    """

    def __init__(self, resources: Resources, interval: float, told: Callable[[str, str], None]) -> None:
        self._resources = resources
        self._interval = interval
        self._told = told
        self._contexts: dict[str, PassContext] = {}
        self._under_way: dict[str, PassContext] = {}
        self._leaving: dict[str, list[Callable[[], None]]] = {}
        self._errors: dict[str, str] = {}
        self._begun = False
        self._stopping = False
        self._late = False
        self._slots: dict[int, list[tuple[PassContext, int]]] = {}
        """By number of the slot: the passes due then, each with its turn."""
        self._forget_at = -math.inf
        self._turns: Counter[str] = Counter()
        """By id: the turn of its next pass, so that a pass that was brought forward does not run twice."""
        self._busy: set[str] = set()
        """The infrastructures that another process held at their last pass."""
        self._ticking: dict[str, PassContext] = {}
        """The infrastructures under way that are observed without a pass."""
        self._ticks: list[Tick] = []
        self._maintainer = str(uuid.uuid4())
        self._recorded: set[str] = set()
        """The infrastructures that are recorded as maintained by this process."""
        self._beat_at = -math.inf
        self._looks = Looks(resources.store)
        self._revision = -1
        """The revision of the store up to which changes were read."""

    @property
    def attached(self) -> frozenset[str]:
        """The maintained infrastructures. Thread-safe."""
        return frozenset(self._contexts)

    def attach(self, infra_id: str, done: Callable[[], None] = lambda: None) -> None:
        """Start to maintain this infrastructure; `done` is called once it is attached. Idempotent; thread-safe."""
        self._resources.loop.post(lambda: self._attach(infra_id, done))

    def hurry(self, infra_id: str) -> None:
        """Start to maintain this infrastructure, with a pass as soon as possible. Thread-safe."""
        self.detach(infra_id)
        self.attach(infra_id)

    def wake(self, infra_id: str) -> None:
        """Start a pass over this infrastructure now, if it is maintained here. Thread-safe."""
        self._resources.loop.post(lambda: self._wake(infra_id))

    def detach(self, infra_id: str, done: Callable[[], None] = lambda: None) -> None:
        """Stop maintaining it after the present pass, then call `done`. Idempotent; thread-safe."""
        self._resources.loop.post(lambda: self._detach(infra_id, done))

    def stop(self) -> None:
        """Stop soon: passes under way stop where they are, and the next pass, of any process, continues.

        Safe in a signal handler.
        """
        self._resources.loop.post(self._stop)

    def run(self, *, until_none_left: bool = False) -> None:
        """Maintain until `stop` is called, or until the last infrastructure is gone."""
        self._watch()
        try:
            self._resources.loop.run_until(lambda: self._over(until_none_left=until_none_left))
        finally:
            self._leave()

    def _over(self, *, until_none_left: bool) -> bool:
        if until_none_left and self._begun and not self._contexts and not self._under_way:
            return True
        return self._stopping and (not self._under_way or self._late)

    def _attach(self, infra_id: str, done: Callable[[], None]) -> None:
        self._begun = True
        if infra_id not in self._contexts:
            self._contexts[infra_id] = PassContext(self._resources, infra_id)
            self._pass(self._contexts[infra_id])
        done()

    def _wake(self, infra_id: str) -> None:
        context = self._contexts.get(infra_id)
        if infra_id in self._under_way:
            self._under_way[infra_id].wake()
        elif context is not None:
            self._pass(context)

    def _detach(self, infra_id: str, done: Callable[[], None]) -> None:
        self._contexts.pop(infra_id, None)
        if infra_id in self._under_way:
            self._under_way[infra_id].interval = None  # work under way ends, and no other is started
            self._leaving.setdefault(infra_id, []).append(done)
        else:
            done()

    def _stop(self) -> None:
        self._stopping = True
        for context in list(self._under_way.values()):
            if context.infra_id in self._ticking:  # no work was started
                self._ended(context, Outcome(error=AbandonedError()))
            else:
                context.interrupt("maintenance stops")
        self._resources.loop.after(STOP_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._late = True

    # Changes in the store

    def _watch(self) -> None:
        self._notice_changes()
        self._beat()
        if self._looks.is_any_left(self._contexts):
            self._looks.record(self._contexts, self._under_way, RECORD_SECONDS)
        self._ticks = [tick for tick in self._ticks if not tick.expire()]
        if not self._stopping:
            self._resources.loop.after(WAKE_SECONDS, self._watch)

    def _beat(self) -> None:
        """Record that this process is there, and what it maintains: once in `BEAT_SECONDS`, and when that changes."""
        clock, attached = self._resources.loop.clock, set(self._contexts)
        begun, ended = attached - self._recorded, self._recorded - attached
        due = clock.monotonic() - self._beat_at >= BEAT_SECONDS and (attached or self._recorded)
        if self._stopping or not (begun or ended or due):
            return
        try:
            self._resources.store.maintainers.beat(self._maintainer, self._resources.holder, clock.now(), begun, ended)
        except StoreError:  # a pass reports it
            return
        self._recorded, self._beat_at = attached, clock.monotonic()
        self._looks.record(self._contexts, self._under_way, RECORD_SECONDS)

    def _leave(self) -> None:
        """Record that this process maintains nothing any more. If the store fails, it counts as killed."""
        self._looks.record(self._contexts, self._under_way, 0.0)
        if self._recorded:
            with contextlib.suppress(StoreError):
                self._resources.store.maintainers.leave(self._maintainer)

    def _notice_changes(self) -> bool:
        """Wake infrastructures that another process has changed or made a request for. False if the store fails."""
        try:
            found = self._resources.store.revisions.since(self._revision)
        except StoreError:  # a pass reports it
            return False
        self._revision = found.store
        for infra_id, revision in found.changed.items():
            self._notice(infra_id, revision)
        if found.present is not None:
            for infra_id in self._contexts.keys() - found.present:
                self._notice(infra_id, found.store)
        return True

    def _notice(self, infra_id: str, revision: int) -> None:
        context = self._contexts.get(infra_id)
        if context is None:
            return
        context.noticed = revision
        if infra_id in self._busy:  # the change is by the process that works on it
            context.revision = revision
        elif context.is_outdated:
            self._wake(infra_id)
            if infra_id in self._under_way:
                with contextlib.suppress(StoreError, NoSuchInfrastructureError):  # the pass reports it
                    context.make_way_for_build()

    # Observing

    def _begin(self, turns: Iterable[tuple[PassContext, int]]) -> None:
        """Observe unchanged quiet infrastructures together; run passes over the others."""
        contexts = [
            context for context, turn in turns if self._turns[context.infra_id] == turn and self._may_begin(context)
        ]
        if not contexts:
            return
        self._resources.connections.renew()
        self._forget_abandoned()
        current = self._notice_changes()
        quiet: dict[str, Known] = {}
        for context in contexts:
            if current and self._is_known(context) and context.known is not None:
                quiet[context.infra_id] = context.known
            else:
                self._pass(context)
        if quiet:
            self._tick(quiet)

    def _may_begin(self, context: PassContext) -> bool:
        attached = self._contexts.get(context.infra_id) is context
        return attached and not self._stopping and context.infra_id not in self._under_way

    def _is_known(self, context: PassContext) -> bool:
        """True if the last look is still valid: neither its rows nor the credentials have changed."""
        known, renewals = context.known, self._resources.connections.renewals
        if known is None or (known.due_at is not None and known.due_at <= self._resources.loop.clock.now()):
            return False
        return not context.is_outdated and known.credentials == renewals and self._may_begin(context)

    def _tick(self, quiet: Mapping[str, Known]) -> None:
        resources, began = self._resources, self._resources.loop.clock.monotonic()
        for infra_id in quiet:
            self._under_way[infra_id] = self._ticking[infra_id] = self._contexts[infra_id]
            self._turns[infra_id] += 1

        def found(infra_id: str, quiet: bool) -> None:
            context = self._ticking.get(infra_id)
            if context is not None:
                self._looked(context, began, quiet=quiet)

        tick = Tick(resources.loop.clock, resources.observatory, resources.checks, found)
        self._ticks.append(tick)
        tick.begin(quiet)

    def _looked(self, context: PassContext, began: float, *, quiet: bool) -> None:
        loop = self._resources.loop
        if not quiet and self._contexts.get(context.infra_id) is context:
            del self._under_way[context.infra_id], self._ticking[context.infra_id]
            self._pass(context)
            return
        context.pause()
        outcome = Outcome.of(context.rest)
        loop.meter.passed(loop.clock.monotonic() - began, outcome.error)
        self._ended(context, Outcome(value=Passed(), error=outcome.error))

    def _pass(self, context: PassContext) -> None:
        if not self._may_begin(context):
            return
        self._under_way[context.infra_id] = context
        self._turns[context.infra_id] += 1
        self._busy.discard(context.infra_id)
        self._resources.connections.renew()
        self._forget_abandoned()
        context.begin_anew()
        context.interval = self._interval
        loop = self._resources.loop
        began = loop.clock.monotonic()

        def ended(outcome: Outcome[Passed]) -> None:
            loop.meter.passed(loop.clock.monotonic() - began, outcome.error)
            self._ended(context, outcome)

        loop.begin(context.attended(maintain(context)), ended)

    def _forget_abandoned(self) -> None:
        """Have configuration managers delete data of gone infrastructures, at intervals."""
        loop = self._resources.loop
        if loop.clock.monotonic() >= self._forget_at:
            self._forget_at = loop.clock.monotonic() + FORGET_SECONDS
            loop.begin(forget_abandoned(self._resources), lambda _outcome: None)

    def _ended(self, context: PassContext, outcome: Outcome[Passed]) -> None:
        infra_id = context.infra_id
        del self._under_way[infra_id]
        self._looks.ended(context, outcome)
        self._ticking.pop(infra_id, None)
        if isinstance(outcome.error, NoSuchInfrastructureError):
            self._contexts.pop(infra_id, None)
            self._turns.pop(infra_id, None)
            self._errors.pop(infra_id, None)
        elif isinstance(outcome.error, BusyError):
            self._busy.add(infra_id)
            context.revision = context.noticed
        elif not isinstance(outcome.error, AbandonedError):  # which says nothing about its health
            self._tell(infra_id, _words(outcome.error))
        for done in self._leaving.pop(infra_id, ()):
            done()
        successor = self._contexts.get(infra_id)
        again = context.is_woken or context.is_outdated
        if successor is context and again and isinstance(outcome.error, AbandonedError | None):
            self._pass(context)
        elif successor is context:
            self._pass_later(context)
        elif successor is not None:  # it was detached and attached again
            self._pass(successor)

    def _pass_later(self, context: PassContext) -> None:
        """Schedule its pass in the last slot within the interval that is not full."""
        loop, length, turn = self._resources.loop, self._interval / SLOTS_PER_INTERVAL, self._turns[context.infra_id]
        if not length:
            loop.after(0.0, lambda: self._begin([(context, turn)]))
            return
        now = loop.clock.monotonic()
        last = int((now + self._interval) / length)
        room = max(MIN_PER_SLOT, math.ceil(len(self._contexts) / SLOTS_PER_INTERVAL))
        slots = range(last, last - SLOTS_PER_INTERVAL, -1)
        slot = next((one for one in slots if len(self._slots.get(one, ())) < room), last)
        if slot not in self._slots:
            self._slots[slot] = []
            loop.after(slot * length - now, lambda: self._begin(self._slots.pop(slot)))
        self._slots[slot].append((context, turn))

    def _tell(self, infra_id: str, text: str) -> None:
        if self._errors.get(infra_id, "") != text:
            self._errors[infra_id] = text
            self._told(infra_id, text)


def _words(error: Exception | None) -> str:
    if error is None:
        return ""
    # A built-in exception is a bug of Occopus, and its text alone is not clear.
    return f"{type(error).__name__}: {error}" if type(error).__module__ == "builtins" else str(error)
