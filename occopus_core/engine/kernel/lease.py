"""A lease while it is held: for how long it is certainly ours."""

from __future__ import annotations

from occopus_core.api.errors import TransientError
from occopus_core.engine.kernel.clock import Clock
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import Lease, LeaseLostError

LEASE_MARGIN = 1.0
"""Seconds before the end of a lease from which on nothing is begun any more: a call takes a moment to leave."""


class LeaseInDoubtError(TransientError, LeaseLostError):
    """A call was not made because the lease may have run out. The next commit renews the lease or ends the pass."""


Moment = tuple[float, float]
"""The time of day, in seconds since 1970, and that of a clock that nobody sets."""


def moment(clock: Clock) -> Moment:
    """The present one."""
    return clock.now(), clock.monotonic()


class HeldLease:
    """Counts from when the lease was last *asked* for: until the answer was heard the machine may have slept."""

    def __init__(self, lease: Lease, clock: Clock, asked: Moment) -> None:
        self.lease = lease
        self._clock = clock
        self._asked = asked

    @property
    def _age(self) -> float:
        """Seconds since then by the clock that says more, below 0 where the time was set back.

        A machine may sleep through its lease, which only the time of day tells; but that may be set.
        """
        by_day, monotonic = (now - then for now, then in zip(moment(self._clock), self._asked, strict=True))
        return min(by_day, 0.0) or max(by_day, monotonic)

    @property
    def is_due(self) -> bool:
        """Whether the lease should be renewed."""
        return not 0 <= self._age <= LEASE_SECONDS / 5

    def renewed(self, asked: Moment) -> None:
        """The lease was renewed as of that moment."""
        self._asked = asked

    def refuse_if_lost(self) -> None:
        """Raises `LeaseInDoubtError` where another process may have taken the lease. Any thread may ask.

        Called right before a call that changes something, which is then tried again.
        """
        if not 0 <= self._age < LEASE_SECONDS - LEASE_MARGIN:
            message = f"the lease of the infrastructure '{self.lease.infra_id}' has run out"
            raise LeaseInDoubtError(message, unreached=True)
