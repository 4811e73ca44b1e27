"""Runs many network checks concurrently from a plain thread, bounded in time and in sockets."""

from __future__ import annotations

import asyncio
import math
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

from occopus_core.api.health import Probe, Verdict

T = TypeVar("T")

Look: TypeAlias = Callable[[float], Awaitable[str]]
"""A check that gets its time limit in seconds and returns the error, or None. Errors of its target are never raised."""

AT_ONCE = 1000
"""The most concurrent looks in one check."""
RESOLVERS = 64
"""The most concurrent lookups of host names in one check."""


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that can be closed while a name server hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve"))

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Leave running lookups: `close` makes their threads stop when they end."""


def run(looking: Coroutine[object, object, T]) -> T:
    """Run a coroutine on a new loop, and return its result."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(looking)


def socket_limit() -> int:
    """The most sockets of one check: a quarter of the process's limit, since other code needs some too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return AT_ONCE if soft == resource.RLIM_INFINITY else max(1, min(AT_ONCE, soft // 4))


async def verdicts(probes: Sequence[Probe], looks_of: Callable[[Probe], Sequence[Look]], at_once: int) -> list[Verdict]:
    """One verdict for each probe, in order: healthy if none of its looks finds an error.

    More than `at_once` looks share the time, so that all of them together still end within one timeout.
    """
    looks = [looks_of(probe) for probe in probes]
    turns = max(1, math.ceil(sum(map(len, looks)) / at_once))
    gate = asyncio.Semaphore(at_once)

    async def take(look: Look, seconds: float) -> str:
        async with gate:
            return await look(seconds)

    async def judge(probe: Probe, its_looks: Sequence[Look]) -> Verdict:
        if its_looks and not probe.address:
            return Verdict(False, "no address yet")
        found = await asyncio.gather(*(take(look, probe.timeout / turns) for look in its_looks))
        reason = "; ".join(dict.fromkeys(filter(None, found)))
        return Verdict(not reason, reason)

    return await asyncio.gather(*map(judge, probes, looks))


async def resolve(name: str) -> tuple[socket.AddressFamily, str]:
    """The first address of a host. An IP address needs no lookup. Raises `OSError`, `ValueError`."""
    try:
        found = socket.getaddrinfo(name, None, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(name, None)
    family, _, _, _, address = found[0]
    return family, str(address[0])


def in_words(error: BaseException) -> str:
    """The error of a connection as a message."""
    if isinstance(error, (socket.gaierror, ValueError)):  # a name that cannot be encoded is a ValueError
        return "could not be resolved"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
