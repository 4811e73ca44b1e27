"""Limits for clients: size and duration of a body, request rate, number of builds."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from occopus_core.rest.problems import Refused

MOST_CLIENTS = 10_000
"""How many clients have a rate limit of their own; the least recent ones are dropped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits. Sizes in bytes, times in seconds."""

    body: int = 2**20
    body_seconds: float = 30.0
    rate: float = 200.0
    """The mean number of requests of a client in a second; bursts may have ten times as many."""
    builds: int = 200
    """The number of infrastructures being built at once."""
    instances: int = 10_000
    """The largest number of instances in one infrastructure, from the limits of its nodes."""
    streams: int = 100


async def read_body(request: Request) -> bytes:
    """The raw body, whatever its content type. Raises `Refused`."""
    limits: Limits = request.app.state.limits
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                body += part
                if len(body) > limits.body:
                    raise Refused(413, f"a body has at most {limits.body:,} bytes", {"Connection": "close"})
    except TimeoutError:
        detail = f"the body did not arrive within {limits.body_seconds:g} s"
        raise Refused(408, detail, {"Connection": "close"}) from None
    except ClientDisconnect:
        raise Refused(400, "the body ended too soon") from None  # the client is gone
    request.state.is_one_line = b"\n" not in body
    return bytes(body)


class Buckets:
    """A token bucket for each client: so many requests in a second, and bursts of ten times as many."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = 10 * rate
        self._now = now
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count a request. Raises `Refused` if it exceeds the limit."""
        now = self._now()
        with self._lock:
            left, at = self._left.pop(client, (self._burst, now))
            left = min(self._burst, left + (now - at) * self._rate)
            self._left[client] = (left - 1 if left >= 1 else left, now)
            if len(self._left) > MOST_CLIENTS:
                self._left.popitem(last=False)
        if left < 1:
            wait = str(math.ceil((1 - left) / self._rate))
            raise Refused(429, f"more than {self._rate:g} requests in a second", {"Retry-After": wait})
