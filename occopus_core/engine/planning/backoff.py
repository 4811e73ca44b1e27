"""Back-off for nodes that keep failing: the delay before the next try doubles."""

from __future__ import annotations

from occopus_core.store.records import InstanceRecord, Setback, Stage

PROVING_SECONDS = 60.0
"""How long an instance must be ready and well to be proven: what went wrong before no longer counts then.

One that fails sooner after it became ready has failed to start. One that falls ill again sooner after it recovered has
been ill for the whole time, apart from the recovery.
"""

FIRST_SETBACK_DELAY = 10.0
LONGEST_SETBACK_DELAY = 600.0
"""The longest delay, in seconds, before a node that keeps failing is tried again."""

SETBACK_MEMORY = 1800.0
"""Seconds without a failure after which a node's failures are forgotten."""


def failed_to_start(record: InstanceRecord) -> bool:
    """True for an instance that failed before it was ready, or before it was proven."""
    if record.stage is not Stage.READY:
        return True
    return record.unhealthy_since is not None and record.unhealthy_since - record.since < PROVING_SECONDS


def next_setback(setback: Setback | None, now: float, began: float) -> Setback:
    """The record after another failure. Times are in seconds since 1970.

    `began` is when the failed start began, `now` for an instance that was proven: however long a start takes before it
    fails, the failures before it are not forgotten.
    """
    return Setback(_count(setback, min(began, now)) + 1, now)


def setback_delay(setback: Setback | None, now: float) -> float:
    """Seconds until a node may be tried again: 0 after its first failure, then doubling."""
    count = _count(setback, now)
    if setback is None or count < 2:  # noqa: PLR2004  # no delay after a first failure
        return 0.0
    pause = min(LONGEST_SETBACK_DELAY, FIRST_SETBACK_DELAY * 2.0 ** (count - 2))
    return max(0.0, setback.last + pause - now)


def _count(setback: Setback | None, now: float) -> int:
    return setback.count if setback is not None and now - setback.last < SETBACK_MEMORY else 0
