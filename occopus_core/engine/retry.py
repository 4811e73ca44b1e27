"""How long to wait before asking again."""

from __future__ import annotations

import random

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
"""Seconds."""


def backoff(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures in a row: doubling, bounded, and spread so that callers do not align."""
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 16))
    return ceiling * rng.uniform(0.5, 1.0)


def poll_interval(waited: float, bounds: tuple[float, float]) -> float:
    """Seconds until the next look at something that has been under way for so long.

    A twentieth of the time already waited: a look comes at most about 5 % late, and the number of looks grows with
    the logarithm of the time.
    """
    shortest, longest = bounds
    return min(longest, max(shortest, waited / 20.0))
