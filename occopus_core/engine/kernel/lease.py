"""A lease that this process holds, and how long it is certain to hold it."""

from __future__ import annotations

from occopus_core.api.errors import TransientError
from occopus_core.engine.kernel.clock import Clock
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import Lease, LeaseLostError

LEASE_MARGIN = 1.0
"""Seconds before the end of a lease in which no call is started: sending a call takes time."""


class LeaseInDoubtError(TransientError, LeaseLostError):
    """A call was not made because the lease may have run out. The next commit renews the lease or ends the pass."""


Moment = tuple[float, float]
"""Seconds since 1970, and a reading of the monotonic clock."""


def moment(clock: Clock) -> Moment:
    """The present moment."""
    return clock.now(), clock.monotonic()


class HeldLease:
    """Counts its time from when the lease was *requested*: the machine may have slept before the answer arrived."""

    def __init__(self, lease: Lease, clock: Clock, asked: Moment) -> None:
        self.lease = lease
        self._clock = clock
        self._asked = asked

    @property
    def _age(self) -> float:
        """Seconds since the request, by the clock that has advanced more; below 0 if the system time was set back.

        Only the system time advances while a machine sleeps, but it can be changed.
        """
        by_day, monotonic = (now - then for now, then in zip(moment(self._clock), self._asked, strict=True))
        return min(by_day, 0.0) or max(by_day, monotonic)

    @property
    def is_due(self) -> bool:
        """Whether the lease should be renewed."""
        return not 0 <= self._age <= LEASE_SECONDS / 5

    def renewed(self, asked: Moment) -> None:
        """The lease was renewed by a request made at this moment."""
        self._asked = asked

    def refuse_if_lost(self) -> None:
        """Raise `LeaseInDoubtError` if another process may have taken the lease. Thread-safe.

        Called right before a call that changes something; that call is tried again later.
        """
        if not 0 <= self._age < LEASE_SECONDS - LEASE_MARGIN:
            message = f"the lease of the infrastructure '{self.lease.infra_id}' has run out"
            raise LeaseInDoubtError(message, unreached=True)
