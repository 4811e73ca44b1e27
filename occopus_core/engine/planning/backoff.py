"""Back-off for nodes that keep failing: the delay before the next try doubles."""

from __future__ import annotations

from occopus_core.store.records import Setback

FIRST_SETBACK_DELAY = 10.0
LONGEST_SETBACK_DELAY = 600.0
"""The longest delay, in seconds, before a node that keeps failing is tried again."""

SETBACK_MEMORY = 1800.0
"""Seconds without a failure after which a node's failures are forgotten."""


def next_setback(setback: Setback | None, now: float) -> Setback:
    """The record after another failure. `now` is in seconds since 1970."""
    return Setback(_count(setback, now) + 1, now)


def setback_delay(setback: Setback | None, now: float) -> float:
    """Seconds until a node may be tried again: 0 after its first failure, then doubling."""
    count = _count(setback, now)
    if setback is None or count < 2:  # noqa: PLR2004  # no delay after a first failure
        return 0.0
    pause = min(LONGEST_SETBACK_DELAY, FIRST_SETBACK_DELAY * 2.0 ** (count - 2))
    return max(0.0, setback.last + pause - now)


def _count(setback: Setback | None, now: float) -> int:
    return setback.count if setback is not None and now - setback.last < SETBACK_MEMORY else 0
