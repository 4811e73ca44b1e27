"""Whose turn it is: an instance starts the moment everything its own node waits for is done, not a level later."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence

from occopus_core.engine.instance.work import Work


class Turns:
    """Starts instances in a stable order as the nodes they wait for get done; `width` of them at once, None for all.

    `waits_for` names the nodes a node waits for, `followers` those that wait for it; a node none of whose instances
    takes part counts as done.
    """

    def __init__(
        self,
        works: Iterable[Work],
        order: Sequence[str],
        waits_for: Callable[[str], Iterable[str]],
        followers: Callable[[str], Iterable[str]],
        width: int | None,
        start: Callable[[Work], None],
    ) -> None:
        self._followers = followers
        self._width = width
        self._start = start
        self._rank = {name: rank for rank, name in enumerate(order)}
        self._works: dict[str, list[Work]] = {}
        for work in works:
            self._works.setdefault(work.node_name, []).append(work)
        self._undone = {name: len(works) for name, works in self._works.items()}
        self._left = sum(self._undone.values())
        self._blocked_by = {name: sum(other in self._works for other in waits_for(name)) for name in self._works}
        self._queue: list[tuple[int, int, Work]] = []
        self._sequence = itertools.count()
        self._under_way = 0
        self._starting = False
        self._stopped = False

    def begin(self) -> None:
        """Start what waits for nothing."""
        for name, blocked_by in self._blocked_by.items():
            if not blocked_by:
                self._enqueue(name)
        self._advance()

    def done(self, work: Work) -> None:
        """An instance that was started has come to its end; others may start."""
        self._under_way -= 1
        self._undone[work.node_name] -= 1
        self._left -= 1
        if not self._undone[work.node_name]:
            for name in self._followers(work.node_name):
                if name in self._blocked_by:
                    self._blocked_by[name] -= 1
                    if not self._blocked_by[name]:
                        self._enqueue(name)
        self._advance()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopped = True

    @property
    def finished(self) -> bool:
        """True when all instances are done."""
        return not self._left

    def _enqueue(self, name: str) -> None:
        for work in self._works[name]:
            heapq.heappush(self._queue, (self._rank.get(name, -1), next(self._sequence), work))

    def _advance(self) -> None:
        # An instance may be done at once, within its own start: that call comes back here.
        if self._starting:
            return
        self._starting = True
        while self._queue and not self._stopped and (self._width is None or self._under_way < self._width):
            self._under_way += 1
            self._start(heapq.heappop(self._queue)[2])
        self._starting = False
