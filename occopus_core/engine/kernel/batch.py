"""Collects items that become due and makes one call for all of them."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from occopus_core.engine.kernel.loop import Loop, Outcome

Item = TypeVar("Item")
T = TypeVar("T")
Submit = Callable[[Callable[[], T], Callable[[Outcome[T]], None]], None]


def _at_once(_items: object) -> Callable[[], None]:
    return lambda: None


class Batch(Generic[Item, T]):
    """Gathers items until the first of them is due, then makes one call for all that are due.

    Two calls begin at least `spacing` seconds apart, so that a thousand items that become due one by one still
    cost one call per interval. An item that is no longer `relevant` when it is due is dropped from the batch.
    """

    def __init__(
        self,
        loop: Loop,
        spacing: float,
        relevant: Callable[[Item], bool],
        submit: Submit[T],
        call: Callable[[Sequence[Item]], T],
        done: Callable[[Sequence[Item], Outcome[T]], None],
        queue: Callable[[Sequence[Item]], Callable[[], None]] = _at_once,
    ) -> None:
        """`queue` gets the items whose call has to wait; the callback it returns is run when the call's turn comes."""
        self._loop = loop
        self._spacing = spacing
        self._relevant = relevant
        self._submit = submit
        self._call = call
        self._done = done
        self._queue = queue
        self._due: list[tuple[float, int, Item]] = []
        self._sequence = itertools.count()
        self._not_before = 0.0
        self._armed_for: float | None = None

    def add(self, item: Item, delay: float) -> None:
        """Ask for this item after `delay` seconds."""
        due = self._loop.clock.monotonic() + delay
        heapq.heappush(self._due, (due, next(self._sequence), item))
        self._arm()

    def _arm(self) -> None:
        if not self._due:
            return
        now = self._loop.clock.monotonic()
        moment = max(self._due[0][0], self._not_before, now)
        if self._armed_for is None or moment < self._armed_for:
            self._armed_for = moment
            self._loop.after(moment - now, lambda: self._fire(moment))

    def _fire(self, moment: float) -> None:
        if moment != self._armed_for:
            return  # a later call of `add` set an earlier time
        self._armed_for = None
        now = self._loop.clock.monotonic()
        items = []
        while self._due and self._due[0][0] <= now + self._spacing / 2:
            item = heapq.heappop(self._due)[2]
            if self._relevant(item):
                items.append(item)
        if items:
            self._not_before = now + self._spacing
            self._make(items)
        self._arm()

    def _make(self, items: Sequence[Item]) -> None:
        begun = self._queue(items)

        def call() -> T:
            begun()
            return self._call(items)

        def done(outcome: Outcome[T]) -> None:
            begun()  # it may have been refused
            self._done(items, outcome)

        self._submit(call, done)
