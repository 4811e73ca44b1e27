"""One thread that decides, a bounded pool for calls that block. Waiting holds no thread."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from occopus_core.engine.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a call ended: with a value, or with an error."""

    value: T | None = None
    error: Exception | None = None

    @classmethod
    def of(cls, call: Callable[[], T]) -> Outcome[T]:
        """Make the call."""
        try:
            return cls(value=call())
        except Exception as error:  # noqa: BLE001  # it is passed on to whoever asked
            return cls(error=error)

    def get(self) -> T:
        """The value. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # there is a value where there is no error


class Loop:
    """Runs actions when they are due and calls in the pool; every action runs in the thread of `run`."""

    def __init__(self, clock: Clock, executor: Executor) -> None:
        self.clock = clock
        self._executor = executor
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self.ticks = 0

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action in so many seconds."""
        heapq.heappush(self._timers, (self.clock.monotonic() + seconds, next(self._sequence), action))

    def post(self, action: Callable[[], None]) -> None:
        """Run an action soon. The one method that any thread, and a signal handler, may call."""
        self._inbox.put(action)

    def submit(self, call: Callable[[], T], done: Callable[[Outcome[T]], None]) -> None:
        """Make a call in the pool, then run `done` with its outcome."""

        def work() -> None:
            outcome = Outcome.of(call)
            self.post(lambda: done(outcome))

        self._executor.submit(work)

    def run(self, settle: Callable[[], None], finished: Callable[[], bool]) -> None:
        """Run until `finished`. `settle` runs before every wait, to commit what the actions have gathered.

        It also runs after it: the process may have stood still for so long that others have taken over.
        """
        while True:
            settle()
            if finished():
                return
            self._step(settle)

    def _step(self, settle: Callable[[], None]) -> None:
        self.ticks += 1
        action = self.clock.wait(self._inbox, self._until_due())
        settle()
        while action is not None:
            action()
            action = None if self._inbox.empty() else self._inbox.get_nowait()
        now = self.clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def _until_due(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self.clock.monotonic())
