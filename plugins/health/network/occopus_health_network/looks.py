"""Many looks side by side from a plain thread, bounded in time and in sockets."""

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
"""Takes the seconds it may last; answers what is wrong, or nothing. Raises nothing because of its target."""

AT_ONCE = 1000
"""The most looks under way at once in one check."""
RESOLVERS = 64
"""The most host names looked up at once in one check."""


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose end does not wait for a name server that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve"))

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Let the lookups under way end: `close` makes their threads stop after that."""


def run(looking: Coroutine[object, object, T]) -> T:
    """The result of a coroutine, run on a loop of its own that is gone afterwards."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(looking)


def socket_limit() -> int:
    """How many sockets one check may hold: a quarter of what the process may open, for it is not alone in it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return AT_ONCE if soft == resource.RLIM_INFINITY else max(1, min(AT_ONCE, soft // 4))


async def verdicts(probes: Sequence[Probe], looks_of: Callable[[Probe], Sequence[Look]], at_once: int) -> list[Verdict]:
    """One verdict for each probe, in order: healthy where none of its looks finds anything wrong.

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
    """The first address of a host. A number is not worth a thread. Raises `OSError`, `ValueError`."""
    try:
        found = socket.getaddrinfo(name, None, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(name, None)
    family, _, _, _, address = found[0]
    return family, str(address[0])


def in_words(error: BaseException) -> str:
    """What went wrong below an address, for people."""
    if isinstance(error, (socket.gaierror, ValueError)):  # a name that cannot be encoded is a ValueError
        return "could not be resolved"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
