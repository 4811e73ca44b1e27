"""The CPU time of health checks over the network, compared with plain connections of asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks import child
from occopus_core.api.health import Probe
from occopus_health_network import Ports, Urls

LISTENERS = 2000
TIMEOUT = 60.0
"""Seconds for each instance: long enough not to affect the measurement."""
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Checked:
    """The CPU time of one kind of check."""

    what: str
    instances: int
    cpu: float
    """Seconds of user and system time."""


def measure(listeners: int = LISTENERS) -> list[Checked]:
    """One check of each of this many listeners on the loopback, in every way. Raises `child.ChildError`."""
    with _listening(listeners) as ports:
        urls = [f"http://127.0.0.1:{port}/" for port in ports]
        _urls(urls[:1])  # loads modules that are loaded once
        return [
            Checked(what, listeners, _cpu(look))
            for what, look in (
                ("asyncio, connected", lambda: asyncio.run(_bare(ports, ask=False))),
                ("ports", lambda: _ports(ports)),
                ("asyncio, asked", lambda: asyncio.run(_bare(ports, ask=True))),
                ("urls", lambda: _urls(urls)),
            )
        ]


def _ports(ports: list[int]) -> None:
    _judge([verdict.reason for verdict in Ports().check([_probe([str(port)]) for port in ports])])


def _urls(urls: list[str]) -> None:
    _judge([verdict.reason for verdict in Urls().check([_probe([url]) for url in urls])])


def _probe(value: list[str]) -> Probe:
    return Probe("benchmark", "127.0.0.1", value, TIMEOUT)


def _judge(reasons: list[str]) -> None:
    ill = [reason for reason in reasons if reason]
    if ill:
        raise child.ChildError(f"{len(ill)} of {len(reasons)} checks failed: {ill[0]}")


async def _bare(ports: list[int], *, ask: bool) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(port: int) -> None:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if ask:
                writer.write(REQUEST)
                await reader.read()
            writer.close()

    await asyncio.gather(*map(one, ports))


def _cpu(look: Callable[[], None]) -> float:
    before = time.process_time()
    look()
    return time.process_time() - before


@contextlib.contextmanager
def _listening(count: int) -> Iterator[list[int]]:
    """Ports of this many listeners in a separate process that answer every request."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(count, there), daemon=True)
    process.start()
    there.close()  # so that the child sees its end
    try:
        yield here.recv()
    except EOFError as error:
        raise child.ChildError(f"{count} listeners cannot be had: see `ulimit -n`") from error
    finally:
        process.kill()
        process.join()


def _serve(count: int, parent: Connection) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    async def serve() -> None:
        servers = [await asyncio.start_server(answer, "127.0.0.1", 0) for _ in range(count)]
        parent.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    for each in measure():
        print(f"{each.what}: {each.cpu / each.instances * 1000:.2f} ms")
