"""Limits how many jobs run at once on one connection; the others queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable


class Jobs:
    """Starts jobs in order, `limit` of them at once; None for no limit. Used in the loop's thread only."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._queue: deque[tuple[Hashable, Callable[[], None]]] = deque()
        self._running: set[Hashable] = set()

    def begin(self, job: Hashable, start: Callable[[], None]) -> None:
        """Call `start` when a slot is free, possibly before returning."""
        self._queue.append((job, start))
        self._admit()

    def end(self, job: Hashable) -> None:
        """The job has ended or was cancelled, queued or running. Idempotent."""
        self._queue = deque(each for each in self._queue if each[0] != job)
        self._running.discard(job)
        self._admit()

    def queued(self, job: Hashable) -> bool:
        """Whether the job waits for its turn."""
        return any(each[0] == job for each in self._queue)

    def _admit(self) -> None:
        while self._queue and (self._limit is None or len(self._running) < self._limit):
            job, start = self._queue.popleft()
            self._running.add(job)
            start()
