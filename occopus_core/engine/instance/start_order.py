"""Decides which instances may start: each as soon as the dependees of its node are ready."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from occopus_core.engine.instance.work import Work


@dataclass(slots=True, eq=False)
class _Group:
    """The instances of one node that were added together."""

    rank: int
    works: list[Work] = field(default_factory=list)
    undone: int = 0
    blocked_by: int = 0
    """The number of groups that have to finish before these may start."""
    followers: list[_Group] = field(default_factory=list)


def _always(_node_name: str) -> bool:
    return True


class StartOrder:
    """Starts instances in a stable order as their dependees finish; at most `width` at once, None for no limit.

    More may be added while others are under way.
    """

    def __init__(self, width: int | None, start: Callable[[Work], None]) -> None:
        self._width = width
        self._start = start
        self._groups: dict[Work, _Group] = {}
        """The unfinished instances."""
        self._undone: dict[str, list[_Group]] = {}
        self._queue: list[tuple[int, int, Work]] = []
        self._sequence = itertools.count()
        self._under_way: set[Work] = set()
        self._starting = False
        self._stopped = False

    def __contains__(self, work: Work) -> bool:
        """True for an instance that was added and is unfinished."""
        return work in self._groups

    def add(
        self,
        works: Iterable[Work],
        order: Sequence[str],
        waits_for: Callable[[str], Iterable[str]],
        holds_up: Callable[[str], bool] = _always,
    ) -> None:
        """Start these as soon as possible. `waits_for` returns the nodes that a node waits for.

        They wait for each other. They wait for instances added earlier only if `holds_up` is true for the node of
        those.
        """
        ranks = {name: rank for rank, name in enumerate(order)}
        added: dict[str, _Group] = {}
        for work in works:
            group = added.setdefault(work.node_name, _Group(ranks.get(work.node_name, -1)))
            group.works.append(work)
            group.undone += 1
            self._groups[work] = group
        for name, group in added.items():
            for other in waits_for(name):
                before = self._undone.get(other, []) if holds_up(other) else []
                for blocking in [*before, *([added[other]] if other in added else [])]:
                    blocking.followers.append(group)
                    group.blocked_by += 1
        for name, group in added.items():
            self._undone.setdefault(name, []).append(group)
            if not group.blocked_by:
                self._enqueue(group)
        self._advance()

    def done(self, work: Work) -> None:
        """An instance is finished or must not be started any more; others may start. Idempotent."""
        group = self._groups.pop(work, None)
        if group is None:
            return
        self._under_way.discard(work)
        group.undone -= 1
        if not group.undone:
            self._undone[work.node_name].remove(group)
            for follower in group.followers:
                follower.blocked_by -= 1
                if not follower.blocked_by:
                    self._enqueue(follower)
        self._advance()

    def stop(self) -> None:
        """Start no more instances."""
        self._stopped = True

    @property
    def finished(self) -> bool:
        """True when all instances are finished."""
        return not self._groups

    def _enqueue(self, group: _Group) -> None:
        for work in group.works:
            heapq.heappush(self._queue, (group.rank, next(self._sequence), work))

    def _advance(self) -> None:
        # `start` may finish an instance at once, which calls this method recursively.
        if self._starting:
            return
        self._starting = True
        while self._queue and not self._stopped and (self._width is None or len(self._under_way) < self._width):
            work = heapq.heappop(self._queue)[2]
            if work in self._groups:
                self._under_way.add(work)
                self._start(work)
        self._starting = False
