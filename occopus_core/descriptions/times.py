"""Times and durations in descriptions and options: ``90m``, ``1d12h``, ``2026-12-24T18:00:00Z``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile("".join(rf"(?:(\d{{1,9}}){unit})?" for unit in _UNITS))

EXPECTED = "a duration such as 90m, 8h or 1d12h, or a time such as 2026-12-24T18:00Z"

LONGEST_LIFE = 365_250 * 86_400
"""The longest duration of a life time, or of its extension, in seconds: 1,000 years."""
EARLIEST = datetime(1, 1, 2, tzinfo=UTC).timestamp()
LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""Seconds since 1970: between these, a time can be shown in every time zone. A life time ends before `LATEST`."""


def seconds_of(text: str) -> float | None:
    """The seconds of a duration of weeks, days, hours, minutes and seconds; None for any other text.

    >>> seconds_of("1d12h")
    129600.0
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    return float(sum(int(count or 0) * size for count, size in zip(found.groups(), _UNITS.values(), strict=True)))


def moment_of(text: str) -> float | None:
    """The seconds since 1970 of a time in the form of ISO 8601, UTC without a zone; None for any other text."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def end_of(text: str, start: float) -> float:
    """When (seconds since 1970) a life time from `start` ends: a time, or a duration. Raises `ValueError`.

    At most `LATEST`: descriptions stored by older versions may have later ends, see `refuse_too_late`.
    """
    lasts = seconds_of(text)
    end = moment_of(text) if lasts is None else start + lasts
    if end is None:
        raise ValueError(f"expected {EXPECTED}, got '{text}'")
    return min(end, LATEST)


def refuse_too_late(text: str, start: float = 0.0) -> None:
    """Raise `ValueError` for a time in or after the year 9999, and for a duration of more than 1,000 years.

    `start` is when a duration begins. A text that is neither a time nor a duration is accepted here.
    """
    lasts = seconds_of(text)
    end = moment_of(text) if lasts is None else start + lasts
    if (lasts or 0.0) > LONGEST_LIFE or (end is not None and end >= LATEST):
        days = LONGEST_LIFE // _UNITS["d"]
        raise ValueError(f"'{text}' is too long: a life time is at most {days}d, and ends before the year 9999")


def since(text: str, now: float) -> float:
    """The start of a period that ends `now`: a time, or a duration before it; at least 0. Raises `ValueError`."""
    lasts = seconds_of(text)
    begin = moment_of(text) if lasts is None else now - lasts
    if begin is None:
        raise ValueError(f"expected {EXPECTED}, got '{text}'")
    return min(max(0.0, begin), LATEST)


def written(seconds: float) -> str:
    """A time in ISO 8601, UTC. One outside the calendar is shown as the nearest that can be written."""
    shown = min(max(EARLIEST, seconds), LATEST) if seconds == seconds else LATEST  # noqa: PLR0124  # not a number
    return datetime.fromtimestamp(shown, UTC).isoformat(timespec="seconds")
