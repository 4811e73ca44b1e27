"""Reconfigures ready instances a few of a node at a time, and stops after the first failure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from occopus_core.engine.instance.work import Work


@dataclass(slots=True)
class _Queue:
    """The instances of one node."""

    waiting: deque[Work] = field(default_factory=deque)
    under_way: set[Work] = field(default_factory=set)
    failed: bool = False


class Rolling:
    """The reconfigurations of one pass, at most `max_parallel` of a node at once."""

    def __init__(
        self, begin: Callable[[Work], None], give_up: Callable[[Work], None], wait: Callable[[Work, int], None]
    ) -> None:
        """`give_up` gets the instances that keep their configuration because another of their node has failed.

        `wait` gets each instance that has to wait, with the number of instances that are reconfigured at once.
        """
        self._begin = begin
        self._give_up = give_up
        self._wait = wait
        self._queues: dict[str, _Queue] = {}

    def add(self, work: Work) -> None:
        """Queue an instance for reconfiguration."""
        queue = self._queues.setdefault(work.node_name, _Queue())
        queue.waiting.append(work)
        self._next(queue)
        if work in queue.waiting:
            self._wait(work, _limit(work))

    def awaits(self, work: Work) -> bool:
        """True if the turn of an instance has not come yet."""
        queue = self._queues.get(work.node_name)
        return queue is not None and work in queue.waiting

    def forgive(self, works: Iterable[Work]) -> None:
        """Ignore earlier failures of the nodes of these instances, which are about to be added."""
        for name in {work.node_name for work in works} & self._queues.keys():
            self._queues[name].failed = False

    def ended(self, work: Work, *, failed: bool) -> None:
        """The reconfiguration of an instance has ended, or it is to be dropped. Idempotent."""
        queue = self._queues.get(work.node_name)
        if queue is None:
            return
        queue.under_way.discard(work)
        if work in queue.waiting:
            queue.waiting.remove(work)
        queue.failed = queue.failed or failed
        self._next(queue)

    def _next(self, queue: _Queue) -> None:
        while queue.waiting and (queue.failed or len(queue.under_way) < _limit(queue.waiting[0])):
            work = queue.waiting.popleft()
            if queue.failed:
                self._give_up(work)
            else:
                queue.under_way.add(work)
                self._begin(work)


def _limit(work: Work) -> int:
    value = (work.implementation.config_management or {}).get("max_parallel", 1)
    return max(1, value) if isinstance(value, int) else 1
