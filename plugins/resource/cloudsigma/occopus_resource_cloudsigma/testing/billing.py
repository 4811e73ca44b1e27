"""Usage of an account and its bill, measured and computed as CloudSigma does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

POLL_SECONDS = 300
PRICES = {
    "cpu": Decimal("0.008") / 3600000,
    "mem": Decimal("0.011") / 3865470566400,
    "dssd": Decimal("0.28") / 2783138807808000,
}
"""Prices of a MHz, and of a byte of memory and of drives, for a second."""


def measured(
    time: datetime, servers: Iterable[dict[str, Any]], drives: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The current usage of each running server and each drive."""
    running = [one for one in servers if one["runtime"]]
    return [
        {"amount": str(thing[field]), "poll_time": time.isoformat(), "resource": resource, "uuid": thing["uuid"]}
        for things, resource, field in ((running, "cpu", "cpu"), (running, "mem", "mem"), (drives, "dssd", "size"))
        for thing in things
    ]


def billed(time: datetime, samples: Sequence[dict[str, Any]], subscribed: float) -> Iterator[dict[str, Any]]:
    """The ledger entries, without ids, for usage beyond the share that is `subscribed`."""
    for resource, price in PRICES.items():
        used = sum(Decimal(one["amount"]) for one in samples if one["resource"] == resource)
        burst = used * Decimal(str(1 - subscribed))
        if burst:
            yield _entry(time.isoformat(), resource, burst, burst * price * POLL_SECONDS)


def _entry(stamp: str, resource: str, amount: Decimal, price: Decimal) -> dict[str, Any]:
    return {
        "amount": f"{price:.20f}",
        "billing_cycle": 1,
        "end": "1",
        "human_interval": "5 minutes",
        "initial": "1",
        "interval": POLL_SECONDS,
        "poll_time": stamp,
        "reason": f"Burst: {amount} of {resource} for 5 minutes at {stamp}",
        "resource_amount": str(amount),
        "time": stamp,
    }
