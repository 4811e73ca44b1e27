"""The phases of an instance: which may follow which, how long each may last, and what happens after that.

Only this module changes the stage of a row or limits how long an instance may take. Two times are kept elsewhere: the
time between two polls (`intervals`), and how long failing calls are repeated before a deletion is left for later.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from occopus_core.engine.instance.work import Clock, Phase, Work
from occopus_core.engine.kernel.loop import Loop
from occopus_core.store.records import PENDING, InstanceRecord, Stage

GRACE = 45.0
"""Seconds for which a call is awaited after its time limit: a plugin has to end every call within 30 s."""

_JUST_AFTER = 0.001
"""Seconds after its end at which a phase is over without doubt."""

LONGEST_DELETION = 900.0
"""Seconds after which an instance that still exists is left unconfirmed."""


class AtEnd(enum.Enum):
    """The action when the time limit of a phase has passed."""

    FAIL = "fail"
    """The instance has failed: a build is rolled back; a repair deletes the instance and tries again later.

    A ready instance that a build keeps stays when the build is rolled back.
    """
    CANCEL = "cancel"
    """Cancel its job at the manager; then as FAIL, except that a ready instance stays as it is."""
    GO_ON = "go on"
    """Continue with the next step."""
    LEAVE = "leave"
    """Leave its deletion unconfirmed: the row stays, and a later pass continues it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of one phase. `limit` is in seconds; None for no limit, or one that `Lifecycle.arm` sets."""

    stage: Stage
    """The stage of the row."""
    followed_by: frozenset[Phase]
    limit: Callable[[Work], float] | None = None
    at_end: AtEnd | None = None
    aim: str = ""
    """The aim that was missed, for messages: `not AIM within 60 s`."""
    grace: float = GRACE


def _timeout(work: Work) -> float:
    return work.implementation.health_check.timeout


def _proof(work: Work) -> float:
    return _timeout(work) + work.implementation.health_check.min_ready_seconds


def _longest_deletion(_work: Work) -> float:
    return LONGEST_DELETION


_GOING = frozenset({Phase.LEAVING})


def _next(*phases: Phase) -> frozenset[Phase]:
    return frozenset(phases) | _GOING


RULES: Mapping[Phase, Rule] = {
    Phase.RESERVED: Rule(Stage.RESERVED, frozenset({Phase.AWAITING, Phase.ENSURING, Phase.PREPARING})),
    Phase.AWAITING: Rule(Stage.RESERVED, frozenset({Phase.PREPARING}), _timeout, AtEnd.FAIL, "published"),
    Phase.ENSURING: Rule(Stage.RESERVED, frozenset({Phase.PREPARING}), _timeout, AtEnd.FAIL, "available"),
    Phase.PREPARING: Rule(Stage.CREATING, _next(Phase.CREATING), _timeout, AtEnd.FAIL, "prepared"),
    Phase.CREATING: Rule(
        Stage.CREATING,
        _next(Phase.BOOTING, Phase.CONFIGURING, Phase.CHECKING, Phase.READY),
        _timeout,
        AtEnd.FAIL,
        "created",
    ),
    Phase.BOOTING: Rule(
        Stage.BOOTING, _next(Phase.CONFIGURING, Phase.CHECKING, Phase.READY), _timeout, AtEnd.FAIL, "ready"
    ),
    Phase.CONFIGURING: Rule(Stage.CONFIGURING, _next(Phase.CHECKING), _timeout, AtEnd.CANCEL, "configured"),
    Phase.CHECKING: Rule(Stage.CONFIGURING, _next(Phase.READY), _proof, AtEnd.FAIL, "ready"),
    Phase.READY: Rule(Stage.READY, _next(Phase.PARTING, Phase.RECONFIGURING, Phase.RECHECKING)),
    Phase.PARTING: Rule(Stage.READY, _next(Phase.READY), at_end=AtEnd.GO_ON, aim="left", grace=0.0),
    Phase.RECONFIGURING: Rule(Stage.READY, _next(Phase.READY), _timeout, AtEnd.CANCEL, "configured"),
    Phase.RECHECKING: Rule(Stage.READY, _next(Phase.READY), _proof, AtEnd.FAIL, "healthy by its new health checks"),
    Phase.LEAVING: Rule(
        Stage.DROPPING, frozenset({Phase.STOPPING, Phase.DELETING}), at_end=AtEnd.GO_ON, aim="left", grace=0.0
    ),
    Phase.STOPPING: Rule(Stage.DROPPING, frozenset({Phase.DELETING}), at_end=AtEnd.GO_ON, aim="stopped", grace=0.0),
    Phase.DELETING: Rule(Stage.DROPPING, frozenset(), _longest_deletion, AtEnd.LEAVE, "gone"),
}
"""The table. PARTING and LEAVING last at most `leave_seconds` of the manager, STOPPING the `stop_seconds` of the
section or the handler. LEAVING and STOPPING are counted from `since` of the row."""

BEGUN = {
    Stage.RESERVED: Phase.RESERVED,
    Stage.CREATING: Phase.PREPARING,
    Stage.BOOTING: Phase.BOOTING,
    Stage.CONFIGURING: Phase.CHECKING,
    Stage.READY: Phase.READY,
    Stage.DROPPING: Phase.LEAVING,
}
"""The phase that a row read from the store counts as."""


class TransitionError(Exception):
    """A phase cannot follow the present one: a bug of the engine."""


class Lifecycle:
    """Moves instances from phase to phase and keeps their deadlines. Calls `expired` for one without an answer in time.

    A deadline is checked at each answer (`over`). Without an answer, the instance expires `GRACE` seconds later. Time
    for which a call waits in a queue does not count, as long as the queue moves.
    """

    def __init__(self, loop: Loop, expired: Callable[[Work], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._stopped = False

    def stop(self) -> None:
        """Stop calling `expired`; a later pass takes over."""
        self._stopped = True

    def enter(self, work: Work, phase: Phase, **changes: Any) -> InstanceRecord:
        """The record in another phase, for the caller to commit. Idempotent. Raises `TransitionError`."""
        before = phase_of(work)
        if phase is before:
            if work.clock is None:
                self._begin(work, phase)
            return work.update(**changes)
        if phase not in RULES[before].followed_by:
            raise TransitionError(f"'{before.value}' is not followed by '{phase.value}'")
        if RULES[phase].stage is not RULES[before].stage:
            # What it waited for before is over; why it goes is kept.
            over = {"reason": ""} if RULES[phase].stage in PENDING else {}
            changes = {"stage": RULES[phase].stage, "since": self._loop.clock.now(), **over, **changes}
        self._begin(work, phase)
        return work.update(**changes)

    def resume(self, work: Work, **changes: Any) -> InstanceRecord:
        """The record of an instance that another process started, with a full time limit.

        It continues with the answer of `create`; until then the row keeps its stage.
        """
        self._begin(work, Phase.PREPARING)
        return work.update(**changes)

    def arm(self, work: Work, seconds: float) -> None:
        """Let the present phase end in so many seconds at the latest."""
        self._begin(work, phase_of(work), seconds)

    def queued(self, work: Work) -> bool:
        """True if a call for it waits in a queue."""
        return work.clock is not None and bool(work.clock.queues)

    def over(self, work: Work) -> bool:
        """True if the time limit of the present phase has passed."""
        return self.left(work) < 0

    def left(self, work: Work) -> float:
        """Seconds left of the present phase; infinite without a limit, or in a queue."""
        clock = work.clock
        if clock is None or clock.ends is None or clock.queues:
            return float("inf")
        return clock.ends - self._loop.clock.monotonic()

    def in_time(self, work: Work, seconds: float) -> float:
        """A pause of so many seconds, or one that ends just after the present phase, if that is sooner."""
        left = self.left(work)
        return min(seconds, left + _JUST_AFTER) if left >= 0 else seconds

    def queue(self, works: Iterable[Work], moved: Callable[[], float] | None = None) -> Callable[[], None]:
        """Stop the clock of these instances while their call is queued, until the returned function is called.

        Any thread may call that function, repeatedly. `moved` returns when (monotonic) the queue last moved.
        """
        asked = self._loop.clock.monotonic()
        clocks = [work.clock for work in works if work.clock is not None]
        moment: list[float] = []
        for clock in clocks:
            clock.queues.append(moved or (lambda: asked))
        waiting = [clock.queues[-1] for clock in clocks]

        def noted() -> None:
            for clock, queue in zip(clocks, waiting, strict=True):
                clock.queues.remove(queue)
                if clock.ends is not None:
                    clock.ends += moment[0] - max(asked, clock.began)

        def begun() -> None:
            moment.append(self._loop.clock.monotonic())
            if len(moment) == 1:
                self._loop.post(noted)

        return begun

    def _begin(self, work: Work, phase: Phase, seconds: float | None = None) -> None:
        rule, now = RULES[phase], self._loop.clock.monotonic()
        limit = seconds if seconds is not None or rule.limit is None else rule.limit(work)
        clock = work.clock = Clock(phase, now, limit, None if limit is None else now + limit)
        if limit is not None:
            self._look_after(limit + rule.grace, work, clock)

    def _look_after(self, seconds: float, work: Work, clock: Clock) -> None:
        self._loop.after(seconds, lambda: self._look(work, clock))

    def _look(self, work: Work, clock: Clock) -> None:
        if self._stopped or work.clock is not clock or clock.ends is None or clock.limit is None:
            return
        now, most = self._loop.clock.monotonic(), clock.limit + RULES[clock.phase].grace
        if clock.queues:
            left = max(moved() for moved in clock.queues) + most - now
        else:
            left = clock.ends + RULES[clock.phase].grace - now
        if left > 0:
            self._look_after(left, work, clock)
        else:
            clock.ends = None
            self._expired(work)


def phase_of(work: Work) -> Phase:
    """The present phase of an instance."""
    return work.clock.phase if work.clock is not None else BEGUN[work.stage]


def overdue(work: Work, reason: str = "") -> str:
    """A message with the aim that was missed, and the reason if known."""
    limit = work.clock.limit if work.clock is not None and work.clock.limit is not None else _timeout(work)
    text = f"not {RULES[phase_of(work)].aim} within {limit:g} s"
    return f"{text}: {reason}" if reason else text
