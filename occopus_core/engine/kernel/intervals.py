"""Intervals between calls: after a failure, and while an operation is under way."""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
"""Seconds."""

LATE = 0.02
"""How late a poll may come, as a share of the time already waited."""


def backoff(failures: int, rng: random.Random) -> float:
    """Seconds to wait after this many failures in a row: doubling, bounded, and random so that callers spread out."""
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 16))
    return ceiling * rng.uniform(0.5, 1.0)


def poll_interval(waited: float, bounds: tuple[float, float]) -> float:
    """Seconds until the next poll of an operation that has been under way for `waited` seconds.

    A share of the time already waited, so that the number of polls grows with the logarithm of the time.
    """
    shortest, longest = bounds
    return min(longest, max(shortest, waited * LATE))


@dataclass(slots=True)
class _Experience:
    """Bounds, in seconds, of how long operations of one kind take: more than `pending`, at most `ready`.

    `pending` is greater than `ready` after the operations became slower.
    """

    pending: float = 0.0
    ready: float | None = None


class PollIntervals:
    """When to poll operations of many kinds, with an estimate of their duration learned for each kind.

    The first operation of a kind is polled as `poll_interval` says. The next one is polled when it should be done, and
    once before, halfway between the known bounds, which narrows the estimate each time. One that is not done when it
    should be is expected soon: its intervals start again from the shortest.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, _Experience] = {}

    def pending(self, kind: str, waited: float) -> None:
        """An operation of this kind was not done after this many seconds."""
        known = self._kinds.setdefault(kind, _Experience())
        known.pending = max(known.pending, waited)

    def done(self, kind: str, waited: float) -> None:
        """An operation of this kind was done after this many seconds."""
        known = self._kinds.setdefault(kind, _Experience())
        if known.ready is None or known.ready <= known.pending:
            known.ready = waited
        known.ready = min(known.ready, waited)
        if known.pending >= waited:
            known.pending = 0.0

    def next_look(self, kind: str, waited: float, bounds: tuple[float, float]) -> float:
        """Seconds until the next poll of an operation that has been under way for `waited` seconds."""
        known = self._kinds.get(kind)
        if known is None or known.ready is None:
            return poll_interval(waited, bounds)
        if waited >= known.ready:
            return poll_interval(waited - known.ready, bounds)
        halfway = (known.pending + known.ready) / 2
        left = (halfway if waited < halfway < known.ready else known.ready) - waited
        pace = poll_interval(waited, bounds)
        # No poll shortly before the estimate: the one at the right moment would have to wait for its turn.
        return left if left < pace + bounds[0] else pace
