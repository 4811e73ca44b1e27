"""The maintainer of an infrastructure in reports. Imports little: the list of infrastructures must be fast."""

from __future__ import annotations

from typing import Any

from occopus_core.descriptions.times import written
from occopus_core.store.records import Maintainer

__all__ = ["maintained_text", "maintainer_of", "written"]


def maintainer_of(maintainer: Maintainer | None, now: float) -> dict[str, Any] | None:
    """The process that maintains it periodically, since when, and when it was last seen if it is not alive; or None."""
    if maintainer is None:
        return None
    alive = maintainer.is_alive(now)
    return {
        "name": maintainer.name,
        "since": written(maintainer.since),
        "alive": alive,
        "seen": None if alive else written(maintainer.seen),
    }


def maintained_text(maintainer: Maintainer | None, now: float) -> str:
    """The maintainer as a line of text."""
    if maintainer is None:
        return "not maintained"
    if maintainer.is_alive(now):
        return f"maintained by {maintainer.name} since {written(maintainer.since)}"
    return f"not maintained: {maintainer.name} was last seen at {written(maintainer.seen)}, and was killed or is frozen"
