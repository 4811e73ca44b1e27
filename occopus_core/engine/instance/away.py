"""The providers that deletions have not reached lately: further deletions there are tried once, not for a minute."""

from __future__ import annotations

from occopus_core.api.errors import TransientError
from occopus_core.api.resource import ResourceHandler
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.clock import Clock
from occopus_core.engine.kernel.open_connection import OpenConnection

RECENT_SECONDS = 60.0
"""Seconds for which a provider counts as away after a deletion was left because no call has reached it."""


class Away:
    """The connections on which a deletion was left unconfirmed because no call has reached the provider."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left_at: dict[OpenConnection[ResourceHandler], float] = {}

    def add(self, work: Work, why: Exception | str) -> None:
        """Its deletion is left for this reason."""
        if work.link is not None and _is_unreached(why):
            self._left_at[work.link] = self._clock.monotonic()

    def is_known(self, work: Work, error: Exception) -> bool:
        """Whether a call has failed because its provider is away, and is known to be: it is not repeated."""
        left_at = self._left_at.get(work.link) if work.link is not None and _is_unreached(error) else None
        return left_at is not None and self._clock.monotonic() - left_at <= RECENT_SECONDS


def _is_unreached(why: Exception | str) -> bool:
    return isinstance(why, TransientError) and why.unreached
