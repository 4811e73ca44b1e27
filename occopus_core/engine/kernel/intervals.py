"""When to ask again: after a failure, and while something is under way."""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
"""Seconds."""

LATE = 0.02
"""How late a look may come, as a part of the time already waited."""


def backoff(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures in a row: doubling, bounded, and spread so that callers do not align."""
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 16))
    return ceiling * rng.uniform(0.5, 1.0)


def poll_interval(waited: float, bounds: tuple[float, float]) -> float:
    """Seconds until the next look at something that has been under way for so long.

    A part of the time already waited, so that the number of looks grows with the logarithm of the time.
    """
    shortest, longest = bounds
    return min(longest, max(shortest, waited * LATE))


@dataclass(slots=True)
class _Experience:
    """How long things of one kind take: longer than `pending`, no longer than `ready`, in seconds.

    Where `pending` is the greater one, they have become slower since.
    """

    pending: float = 0.0
    ready: float | None = None


class PollIntervals:
    """When to look at things of many kinds, learning from each how long the next of its kind will take.

    Of the first of a kind nothing is known, and it is looked at as `poll_interval` says. The next is looked at when it
    should be done; and once before, halfway between what was too early and what was late enough, which narrows the
    estimate with every one that is made. What is not done when it should be will be soon: its wait begins anew.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, _Experience] = {}

    def pending(self, kind: str, waited: float) -> None:
        """One of this kind was not done after so many seconds."""
        known = self._kinds.setdefault(kind, _Experience())
        known.pending = max(known.pending, waited)

    def done(self, kind: str, waited: float) -> None:
        """One of this kind was seen to be done after so many seconds."""
        known = self._kinds.setdefault(kind, _Experience())
        if known.ready is None or known.ready <= known.pending:
            known.ready = waited
        known.ready = min(known.ready, waited)
        if known.pending >= waited:
            known.pending = 0.0

    def next_look(self, kind: str, waited: float, bounds: tuple[float, float]) -> float:
        """Seconds until the next look at one that has been under way for `waited` seconds."""
        known = self._kinds.get(kind)
        if known is None or known.ready is None:
            return poll_interval(waited, bounds)
        if waited >= known.ready:
            return poll_interval(waited - known.ready, bounds)
        halfway = (known.pending + known.ready) / 2
        left = (halfway if waited < halfway < known.ready else known.ready) - waited
        pace = poll_interval(waited, bounds)
        # None so shortly before that the one at the right moment would have to wait for its turn.
        return left if left < pace + bounds[0] else pace
