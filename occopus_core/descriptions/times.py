"""Times and durations as people write them: ``90m``, ``1d12h``, ``2026-12-24T18:00:00Z``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile("".join(rf"(?:(\d{{1,9}}){unit})?" for unit in _UNITS))

EXPECTED = "a duration such as 90m, 8h or 1d12h, or a time such as 2026-12-24T18:00Z"


def seconds_of(text: str) -> float | None:
    """The seconds of a duration of weeks, days, hours, minutes and seconds; None where it is none.

    >>> seconds_of("1d12h")
    129600.0
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    return float(sum(int(count or 0) * size for count, size in zip(found.groups(), _UNITS.values(), strict=True)))


def moment_of(text: str) -> float | None:
    """The seconds since 1970 of a time in the form of ISO 8601, UTC where no zone is given; None where it is none."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def end_of(text: str, start: float) -> float:
    """When (seconds since 1970) what begins at `start` ends: a time, or a duration. Raises `ValueError`."""
    lasts = seconds_of(text)
    end = moment_of(text) if lasts is None else start + lasts
    if end is None:
        raise ValueError(f"expected {EXPECTED}, got '{text}'")
    return end


def since(text: str, now: float) -> float:
    """The time that is meant by a time, or by a duration that ends `now`. Raises `ValueError`."""
    lasts = seconds_of(text)
    begin = moment_of(text) if lasts is None else now - lasts
    if begin is None:
        raise ValueError(f"expected {EXPECTED}, got '{text}'")
    return begin


def written(seconds: float) -> str:
    """A time as it is shown: ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
