"""ICMP echo: one socket for all the nodes of a check."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import select
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from icmplib import (
    DestinationUnreachable,
    ICMPLibError,
    ICMPReply,
    ICMPRequest,
    ICMPv4Socket,
    ICMPv6Socket,
    SocketPermissionError,
)
from icmplib.utils import unique_identifier

from occopus_core.api import PermanentError
from occopus_core.api.health import Probe, Verdict
from occopus_health_network import looks

PACKETS = 3
"""Requests to a silent node within its timeout: a single lost packet must not make it unhealthy."""
ECHO_REPLIES = {socket.AF_INET: 0, socket.AF_INET6: 129}
"""The ICMP type of an answer, by address family."""
NOT_ALLOWED = (
    "this process may not send pings: give it the capability CAP_NET_RAW, put its group into the sysctl "
    "net.ipv4.ping_group_range, install the program ping, or set ping: false in health_check"
)
_TRIAL_SECONDS = 3.0


def refuse_if_not_allowed() -> None:
    """Raises `PermanentError` if neither a socket of this process nor the program ``ping`` can send pings."""
    if not (_may_open_socket() or _program_works()):
        raise PermanentError(NOT_ALLOWED)


def _may_open_socket() -> bool:
    for privileged in (True, False):
        with contextlib.suppress(SocketPermissionError):
            ICMPv4Socket(privileged=privileged).close()
            return True
    return False


@functools.cache
def _program_works() -> bool:
    """Whether the program ``ping`` works: it often has a capability that this process lacks."""
    program = shutil.which("ping")
    if program is None:
        return False
    try:
        asked = [program, "-n", "-c", "1", "-W", "1", "127.0.0.1"]
        done = subprocess.run(asked, capture_output=True, timeout=_TRIAL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


async def _ping_by_program(address: str, seconds: float) -> str:
    """Returns if the address answers. Raises `TimeoutError`, `SocketPermissionError`, `OSError`."""
    if not await asyncio.to_thread(_program_works):
        raise SocketPermissionError(False)
    wait = str(max(1, round(seconds)))
    program = await asyncio.create_subprocess_exec(
        "ping", "-n", "-c", str(PACKETS), "-i", "0.5", "-w", wait, address,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if await program.wait() == 0:
            return ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
    raise TimeoutError


def check(probes: Sequence[Probe]) -> Sequence[Verdict]:
    """A verdict for each probe: whether the node answers, unless its ping is off."""
    return looks.run(_check(probes))


async def _check(probes: Sequence[Probe]) -> Sequence[Verdict]:
    with _Echo(socket.AF_INET) as v4, _Echo(socket.AF_INET6) as v6:
        echoes = {socket.AF_INET: v4, socket.AF_INET6: v6}

        def its_looks(probe: Probe) -> Sequence[looks.Look]:
            return [functools.partial(_ping, echoes, probe.address)] if probe.value else []

        return await looks.verdicts(probes, its_looks, looks.AT_ONCE)


async def _ping(echoes: Mapping[socket.AddressFamily, _Echo], address: str, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            family, target = await looks.resolve(address)
            try:
                return await echoes[family].ask(target, seconds)
            except SocketPermissionError:
                return await _ping_by_program(target, seconds)
    except TimeoutError:
        return (
            f"{address} does not answer pings ({PACKETS} lost of {PACKETS} within {seconds:g} s): "
            "if the provider drops ICMP, set ping: false"
        )
    except SocketPermissionError:
        return NOT_ALLOWED
    except (OSError, ValueError) as error:
        return f"{address} {looks.in_words(error)}"
    except ICMPLibError as error:
        return f"{address} could not be pinged: {looks.in_words(error.__context__ or error)}"


class _Echo:
    """One ICMP socket that pings many addresses and matches their answers. Opened at the first ping."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self._family = family
        self._id = 0
        self._socket: ICMPv4Socket | ICMPv6Socket | None = None
        self._readable = select.poll()
        self._waiting: list[tuple[ICMPRequest, asyncio.Future[str]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._socket:
            asyncio.get_running_loop().remove_reader(self._socket.sock)
            self._socket.close()

    async def ask(self, address: str, seconds: float) -> str:
        """Ping an address: None if it answers, or the error that a router reported.

        Raises `TimeoutError`, `ICMPLibError`.
        """
        opened = self._socket or self._open()
        request = ICMPRequest(address, id=self._id, sequence=len(self._waiting) & 0xFFFF)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        for _ in range(PACKETS):
            opened.send(request)
            self._receive()  # after every packet: a thousand answers do not fit in the socket's buffer
            await asyncio.wait([answer], timeout=seconds / PACKETS)
            if answer.done():
                return answer.result()
        raise TimeoutError

    def _open(self) -> ICMPv4Socket | ICMPv6Socket:
        kind = ICMPv4Socket if self._family is socket.AF_INET else ICMPv6Socket
        try:
            opened: ICMPv4Socket | ICMPv6Socket = kind(privileged=True)
        except SocketPermissionError:
            opened = kind(privileged=False)
        self._id = unique_identifier()
        self._readable.register(opened.sock, select.POLLIN)
        asyncio.get_running_loop().add_reader(opened.sock, self._receive)
        self._socket = opened
        return opened

    def _receive(self) -> None:
        """Process every received packet; a raw socket also gets those of other processes."""
        while self._socket and self._readable.poll(0):
            try:
                self._sort(self._socket.receive(timeout=0.01))
            except ICMPLibError:  # not a packet, or not for one request, which then times out
                return

    def _sort(self, reply: ICMPReply) -> None:
        if reply.sequence >= len(self._waiting):
            return
        request, answer = self._waiting[reply.sequence]
        if reply.id != request.id or answer.done():
            return
        if reply.type == ECHO_REPLIES[self._family] and reply.source == request.destination:
            answer.set_result("")
            return
        try:
            reply.raise_for_status()
        except DestinationUnreachable as error:
            answer.set_result(f"{reply.source} answered for {request.destination}: {error}")
