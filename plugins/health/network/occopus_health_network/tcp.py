"""TCP: connects and disconnects."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

from occopus_core.api.health import Probe, Verdict
from occopus_health_network import looks


def check(probes: Sequence[Probe]) -> Sequence[Verdict]:
    """A verdict for each probe: whether every port accepts a connection."""
    return looks.run(looks.verdicts(probes, _looks, looks.socket_limit()))


def _looks(probe: Probe) -> Sequence[looks.Look]:
    return [functools.partial(_connect, probe.address, port) for port in probe.value]


async def _connect(address: str, port: int, seconds: float) -> str:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            transport, _ = await loop.create_connection(asyncio.Protocol, address, port)
    except TimeoutError:
        return f"port {port} did not answer on {address} within {seconds:g} s"
    except ConnectionRefusedError:
        return f"port {port} refused on {address}"
    except (OSError, OverflowError, ValueError) as error:
        return f"port {port} on {address}: {looks.in_words(error)}"
    transport.close()
    return ""
