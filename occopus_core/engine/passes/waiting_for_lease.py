"""Waits for the lease of an infrastructure that another process works on."""

from __future__ import annotations

import contextlib
import math

from occopus_core.descriptions.times import written
from occopus_core.engine.kernel.holder import has_ended
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import BusyError
from occopus_core.events import EventKind
from occopus_core.store.change import LEASE_SECONDS, SKEW_SECONDS
from occopus_core.store.records import Lease, StoreError

BUILD_PATIENCE = LEASE_SECONDS + SKEW_SECONDS
"""Seconds for which a build waits: as long as a killed process would hold the lease."""
LEASE_POLL = 0.25
"""Seconds between two tries for a lease that another process holds."""

_ENDED = "does not exist any more"


def acquire_soon(context: PassContext) -> Steps[Lease]:
    """The lease; fails if another process holds it.

    A lease that ends later than a new one could was taken before the system time was set back, so its real end is
    unknown: it is watched for the length of a lease.

    Raises `BusyError`, `AbandonedError`, `NoSuchInfrastructureError`.
    """
    lease = context.acquire()
    if lease is None:
        end, now = context.resources.store.lease_end(context.infra_id), context.resources.loop.clock.now()
        set_back = end is not None and end > now + LEASE_SECONDS + SKEW_SECONDS
        patience = LEASE_SECONDS + SKEW_SECONDS
        lease = (yield from acquire_in_time(context, patience)) if set_back else context.acquire()
    if lease is None:
        raise BusyError(f"{_busy(context)}{_end_of_lease(context)}")
    return lease


def _busy(context: PassContext) -> str:
    who, infra = _holder(context), f"the infrastructure '{context.infra_id}'"
    return f"{who}, which {_ENDED}, was working on {infra}" if has_ended(who) else f"{who} is working on {infra}"


def _holder(context: PassContext) -> str:
    holding = context.resources.store.holding(context.infra_id)
    return "another process" if holding is None else holding.holder


def _end_of_lease(context: PassContext) -> str:
    """When the lease ends if its holder was killed, for messages; empty if it has just ended."""
    holding, now = context.resources.store.holding(context.infra_id), context.resources.loop.clock.now()
    if holding is None or holding.until <= now:
        return ""
    end, again = written(holding.until), f"repeat this in {math.ceil(holding.until - now)} s"
    if has_ended(holding.holder):
        return f": its lease ends at {end}; {again}"
    return f", or was killed: its lease ends at {end}, unless it renews it; {again}"


def _waited_for(context: PassContext) -> str:
    """What a command waits for, and for how long if that is known."""
    holding, now = context.resources.store.holding(context.infra_id), context.resources.loop.clock.now()
    if holding is None or not has_ended(holding.holder):
        return f"for {_holder(context)}, which is working on it"
    return f"for {holding.holder}, which {_ENDED}: its lease ends in {max(0, math.ceil(holding.until - now))} s"


def acquire_in_time(context: PassContext, patience: float = math.inf) -> Steps[Lease]:
    """The lease, once the process that holds it releases it or dies; `patience` is in seconds.

    A lease that is not renewed for the length of a lease has run out, whatever the system time: that may have been
    set since.

    Raises `BusyError` after `patience`, `AbandonedError`, `NoSuchInfrastructureError`.
    """
    clock = context.resources.loop.clock
    given_up_at = clock.monotonic() + patience
    lease = context.acquire()
    if lease is None:
        context.tell(EventKind.WAITING, _waited_for(context))
    end, seen_since = None, clock.monotonic()
    while lease is None:
        yield from context.resources.loop.pause(LEASE_POLL)
        context.refuse_if_abandoned()
        renewed = context.resources.store.lease_end(context.infra_id)
        if renewed != end:
            end, seen_since = renewed, clock.monotonic()
        elif end is not None and clock.monotonic() - seen_since > LEASE_SECONDS:
            lease = _take_over(context, end)
            continue
        lease = context.acquire()
        if lease is None and clock.monotonic() >= given_up_at:
            raise BusyError(_busy(context))
    return lease


def acquire_for_build(context: PassContext) -> Steps[Lease]:
    """The lease, for a build: maintenance that holds it with ticks ends its pass, and begins none meanwhile.

    Raises `BusyError` after `BUILD_PATIENCE` seconds, `AbandonedError`, `NoSuchInfrastructureError`.
    """
    lease = context.acquire()
    if lease is not None:
        return lease
    store = context.resources.store
    store.await_lease(context.infra_id, context.resources.loop.clock.now() + BUILD_PATIENCE)
    try:
        return (yield from acquire_in_time(context, BUILD_PATIENCE))
    finally:
        with contextlib.suppress(StoreError):  # it ends by itself
            store.await_lease(context.infra_id, None)


def _take_over(context: PassContext, end: float) -> Lease | None:
    """Take over a lease whose clock was set back."""
    store, holder = context.resources.store, context.resources.holder
    return context.take(lambda now: store.acquire(context.infra_id, holder, max(end, now)))
