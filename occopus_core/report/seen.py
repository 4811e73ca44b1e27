"""The time of the last look at an infrastructure in reports. Imports little: the list must be fast."""

from __future__ import annotations

from occopus_core.descriptions.times import written
from occopus_core.report.under_way import is_attended
from occopus_core.store.records import Holding, Maintainer

LATEST_SECONDS = 300.0
"""How old the last look may be without a remark, in lists and at maintained infrastructures."""
_AGES = (("d", 86400), ("h", 3600), ("min", 60))


def age(seconds: float) -> str:
    """A duration in its largest unit: `3 d`, `5 h`, `12 min`, `40 s`."""
    for unit, length in _AGES:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def is_current(seen_at: float | None, maintainer: Maintainer | None, holding: Holding | None, now: float) -> bool:
    """True if a process works on an infrastructure, or maintains it and has looked at it recently."""
    if maintainer is None or not maintainer.is_alive(now):
        return is_attended(holding, None, now)
    return now - max(seen_at or 0.0, maintainer.since) <= LATEST_SECONDS or is_attended(holding, None, now)


def seen_text(infra_id: str, seen_at: float | None, now: float) -> str:
    """As of when the states of a report are, and the command that looks again."""
    command = f"occopus-maintain -i {infra_id}"
    if seen_at is None:
        return f"it is not known when these states were seen; {command} looks"
    return f"states as of {written(seen_at)} ({age(now - seen_at)} ago); {command} looks again"
