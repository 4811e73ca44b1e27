"""The event loop: one thread that decides, and a bounded pool for calls that block. Waiting holds no thread."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from occopus_core.engine.kernel.answers import without_secrets
from occopus_core.engine.kernel.clock import Clock
from occopus_core.engine.kernel.error_text import log_unexpected
from occopus_core.engine.kernel.metrics import CallMetrics
from occopus_core.engine.kernel.outcome import Outcome
from occopus_core.error_place import described

__all__ = ["Loop", "Outcome", "Steps", "Waiting"]

T = TypeVar("T")


class Waiting(NamedTuple):
    """What a pass waits for. `commit_due` runs before each check, to commit gathered changes."""

    commit_due: Callable[[], None]
    over: Callable[[], bool]


Steps = Generator[Waiting, None, T]
"""A pass over one infrastructure: it yields what it waits for, and returns when it is done."""


@dataclass(slots=True, eq=False)
class _Pass:
    steps: Steps[Any]
    done: Callable[[Outcome[Any]], None]
    waiting: Waiting | None = None


class Loop:
    """Runs passes, timers, and calls in the pool. Everything except the calls runs in the thread of `run`.

    Any number of passes share one loop: none of them holds a thread while it waits.
    """

    def __init__(self, clock: Clock, executor: Executor, meter: CallMetrics | None = None) -> None:
        self.clock = clock
        self.meter = meter or CallMetrics()
        self._executor = executor
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._passes: dict[_Pass, None] = {}
        self.redact: Callable[[str], str] = str
        """Removes secrets from the results and errors of calls, and from log messages."""

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action after so many seconds."""
        heapq.heappush(self._timers, (self.clock.monotonic() + seconds, next(self._sequence), action))

    def pause(self, seconds: float) -> Steps[None]:
        """A step that lasts this long."""
        passed: list[bool] = []
        self.after(seconds, lambda: passed.append(True))
        yield Waiting(_nothing, lambda: bool(passed))

    def post(self, action: Callable[[], None]) -> None:
        """Run an action soon. The only method that may be called from any thread and from signal handlers."""
        self._inbox.put(action)

    def submit(self, call: Callable[[], T], done: Callable[[Outcome[T]], None]) -> None:
        """Make a call in the pool, then run `done` with its outcome."""

        def work() -> None:
            began = self.clock.monotonic()
            try:
                outcome = Outcome.of(call)
            except BaseException as error:  # such as SystemExit, or `done` never runs
                ended = RuntimeError(f"a call ended with {described(error)}")
                self.meter.called(self.clock.monotonic() - began, ended)
                self.post(lambda: done(Outcome(error=ended)))
                if isinstance(error, SystemExit):  # a plugin does not end the process
                    return
                raise
            self.meter.called(self.clock.monotonic() - began, outcome.error)
            if outcome.error is not None:
                log_unexpected(outcome.error, self.redact)
            safe = without_secrets(outcome, self.redact)
            self.post(lambda: done(safe))

        self._executor.submit(work)

    def in_pool(self, call: Callable[[], T], commit_due: Callable[[], None] | None = None) -> Steps[T]:
        """Make a call in the pool and wait for it. Raises what it raises."""
        ended: list[Outcome[T]] = []
        self.submit(call, ended.append)
        yield Waiting(commit_due or _nothing, lambda: bool(ended))
        return ended[0].get()

    def begin(self, steps: Steps[T], done: Callable[[Outcome[T]], None]) -> None:
        """Start a pass; `done` is called with its outcome."""
        self._passes[_Pass(steps, done)] = None

    def run(self, steps: Steps[T]) -> T:
        """Run one pass to its end and return its result. Propagates its errors."""
        ended: list[Outcome[T]] = []
        self.begin(steps, ended.append)
        self.run_until(lambda: bool(ended))
        return ended[0].get()

    def run_until(self, finished: Callable[[], bool]) -> None:
        """Run all started passes until `finished` returns true."""
        while True:
            self._advance_all()
            if finished():
                return
            self._step()

    def _advance_all(self) -> None:
        for each in list(self._passes):
            self._advance(each)

    def _advance(self, each: _Pass) -> None:
        """Advance a pass until it has to wait."""
        try:
            while each.waiting is None or self._over(each):
                each.waiting = next(each.steps)
        except StopIteration as end:
            self._end(each, Outcome(value=end.value))
        except Exception as error:  # noqa: BLE001  # it belongs to the pass
            self._end(each, Outcome(error=error))

    def _over(self, each: _Pass) -> bool:
        assert each.waiting is not None, "it waits for something"
        try:
            each.waiting.commit_due()
            return each.waiting.over()
        except Exception as error:  # noqa: BLE001  # the pass itself is to know, and to clean up
            each.waiting = each.steps.throw(error)
            return False

    def _act(self, action: Callable[[], None]) -> None:
        """Run an action. If it fails, its pass is unknown: the error is raised in every pass, which may clean up."""
        try:
            action()
        except Exception as error:  # noqa: BLE001  # the passes end with it
            for each in list(self._passes):
                self._tell(each, error)

    def _tell(self, each: _Pass, error: Exception) -> None:
        try:
            each.waiting = each.steps.throw(error)
        except StopIteration as end:
            self._end(each, Outcome(value=end.value))
        except Exception as raised:  # noqa: BLE001  # it belongs to the pass
            self._end(each, Outcome(error=raised))

    def _end(self, each: _Pass, outcome: Outcome[Any]) -> None:
        del self._passes[each]
        each.done(outcome)

    def _step(self) -> None:
        action = self.clock.wait(self._inbox, self._until_due())
        # The process may have been suspended while others took its leases: the passes check that first.
        self._advance_all()
        while action is not None:
            self._act(action)
            action = None if self._inbox.empty() else self._inbox.get_nowait()
        now = self.clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._act(heapq.heappop(self._timers)[2])

    def _until_due(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self.clock.monotonic())


def _nothing() -> None:
    return
