"""The facilities that the steps of an instance share."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field

from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.call_limits import CallQueue
from occopus_core.engine.kernel.clock import Clock
from occopus_core.engine.kernel.intervals import PollIntervals, backoff, poll_interval
from occopus_core.engine.kernel.journal import Journal
from occopus_core.engine.kernel.loop import Loop
from occopus_core.engine.planning.preparation import Scope
from occopus_core.events import Event, EventKind, Observer
from occopus_core.store.change import Change
from occopus_core.store.records import PENDING


@dataclass(frozen=True, slots=True)
class PassedOver:
    """The reason why an implementation is passed over, and `until` when (monotonic)."""

    until: float
    reason: str


class CallsUnderWay:
    """Calls that have started and not returned, by token. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[object, str] = {}

    def begin(self, call: object, token: str) -> None:
        """A call has started."""
        with self._lock:
            self._calls[call] = token

    def end(self, call: object) -> None:
        """The call has returned. Idempotent, also for a call that never started."""
        with self._lock:
            self._calls.pop(call, None)

    def lasts(self, call: object) -> bool:
        """True if the call has started and not returned."""
        with self._lock:
            return call in self._calls

    def under_way(self, token: str) -> bool:
        """True if a call with this token may still take effect."""
        with self._lock:
            return token in self._calls.values()


@dataclass(frozen=True, slots=True)
class Experience:
    """What this process has learned about providers, across infrastructures."""

    boots: PollIntervals = field(default_factory=PollIntervals)
    """How long instances take to boot, by fingerprint."""
    deletions: PollIntervals = field(default_factory=PollIntervals)
    """How long their deletion takes, by fingerprint."""
    passed_over: dict[str, PassedOver] = field(default_factory=dict)
    """By the digest of an implementation."""
    creating: CallsUnderWay = field(default_factory=CallsUnderWay)
    """The calls of `create` that have not returned, including those of passes that have ended."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The facilities of one pass over one infrastructure."""

    scope: Scope
    loop: Loop
    journal: Journal
    rng: random.Random
    observer: Observer
    experience: Experience
    rendering: CallQueue
    """Limits how many instances are rendered at once, since all infrastructures share the pool."""

    @property
    def clock(self) -> Clock:
        """The clock of the loop."""
        return self.loop.clock

    def emit(self, kind: EventKind, work: Work, text: str = "") -> None:
        """Report an event of an instance."""
        self.tell(kind, text, work.node_name, work.node_id)

    def tell(self, kind: EventKind, text: str = "", node_name: str = "", node_id: str = "") -> None:
        """Report an event to the observer, and record it with the next commit."""
        event = Event(kind, self.scope.infra_id, node_name, node_id, text)
        self.journal.note(event)
        self.observer(event)

    def tell_with(self, change: Change, kind: EventKind, text: str = "", node_name: str = "") -> None:
        """Report an event of the infrastructure or a node, recorded in the given transaction.

        The observer gets it after the commit: a blocked terminal must not delay other writers.
        """
        event = Event(kind, self.scope.infra_id, node_name, text=text)
        change.add_events([(self.clock.now(), event)])
        change.then(lambda: self.observer(event))

    def waiting(self, work: Work, reason: str, *, reported: bool = False) -> None:
        """Emit what an instance waits for when that changes, and record it for one that is not ready yet.

        No event is emitted for what was `reported` before.
        """
        if reason != work.waiting_for:
            work.waiting_for = reason
            if not reported:
                self.emit(EventKind.NODE_WAITING, work, reason)
            if work.stage in PENDING:
                self.journal.put(work.update(reason=reason))

    def not_waiting(self, work: Work) -> None:
        """Forget what an instance that is not ready yet has waited for."""
        work.waiting_for = ""
        if work.stage in PENDING and work.record.reason:
            self.journal.put(work.update(reason=""))

    def failed_call(self, work: Work) -> float:
        """Count a failed call. Returns the seconds to wait before the next."""
        if not work.failures:
            work.failing_since = self.clock.monotonic()
        work.failures += 1
        return backoff(work.failures, self.rng)

    def failing(self, work: Work) -> float:
        """Seconds since its calls began to fail."""
        return self.clock.monotonic() - work.failing_since

    def waited(self, work: Work) -> float:
        """Seconds since the present wait began."""
        return self.clock.monotonic() - work.watched_since

    def next_look(self, work: Work, bounds: tuple[float, float]) -> float:
        """Seconds until the next poll of an instance that is under way."""
        return poll_interval(self.waited(work), bounds)

    def may_be_making(self, work: Work) -> bool:
        """True if a call of `create` for it has not returned: it may still take effect."""
        return self.experience.creating.under_way(work.record.token)
