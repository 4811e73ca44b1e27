"""Harnesses of the three checks for the conformance suite; their targets are on the loopback."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from typing import Any
from unittest import mock

import icmplib

from occopus_core.api import HealthChecker, Probe
from occopus_core.testing.health import HealthHarness
from occopus_health_network import Ping, Ports, Urls

TIMEOUT = 0.5
"""The time limit for a check of a silent target."""
GENEROUS = 60.0
"""The time limit for a check of a target that answers, on a busy machine."""
LOST = "127.0.0.9"
"""An address to which packets are lost."""


class _Lossy(icmplib.ICMPv4Socket):  # type: ignore[misc]
    def send(self, request: Any) -> None:
        if request.destination != LOST:
            super().send(request)


class _Pages(http.server.BaseHTTPRequestHandler):
    """A web server: each path is the status of its answer."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.partition("?")[0][1:]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class NetworkHarness(HealthHarness):
    """A checker with targets that exist until the harness is closed."""

    __slots__ = ("_stack",)

    def __init__(self, stack: contextlib.ExitStack, checker: HealthChecker, *probes: Probe, secret: str = "") -> None:
        object.__setattr__(self, "_stack", stack)  # the dataclass is frozen
        healthy, unhealthy, silent = probes
        super().__init__(checker, healthy, unhealthy, silent, secret)

    def close(self) -> None:
        """Close the targets. Idempotent."""
        self._stack.close()  # type: ignore[attr-defined]


def ping_harness() -> NetworkHarness:
    """The loopback, and an address to which packets are lost."""
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch("occopus_health_network.icmp.ICMPv4Socket", _Lossy))
    lost = Probe("ill", LOST, True, TIMEOUT)
    return NetworkHarness(stack, Ping(), Probe("well", "127.0.0.1", True, GENEROUS), lost, lost)


def ports_harness() -> NetworkHarness:
    """A port that accepts, one that refuses, and one with a full queue, where the kernel drops requests."""
    stack = contextlib.ExitStack()
    accepting = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
    refusing = stack.enter_context(socket.socket())
    refusing.bind(("127.0.0.1", 0))
    full, first = stack.enter_context(socket.socket()), stack.enter_context(socket.socket())
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    first.connect(full.getsockname())

    def probe(server: socket.socket, timeout: float = GENEROUS) -> Probe:
        return Probe("node", "127.0.0.1", [server.getsockname()[1]], timeout)

    return NetworkHarness(stack, Ports(), probe(accepting), probe(refusing), probe(full, TIMEOUT))


def urls_harness() -> NetworkHarness:
    """A web server, and a server that accepts and never answers."""
    stack = contextlib.ExitStack()
    silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
    web = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages))
    thread = threading.Thread(target=web.serve_forever, args=(0.01,))
    thread.start()
    stack.callback(thread.join)
    stack.callback(web.shutdown)

    def probe(place: str, timeout: float = GENEROUS) -> Probe:
        return Probe("node", "127.0.0.1", [f"http://{place}"], timeout)

    return NetworkHarness(
        stack,
        Urls(),
        probe(f"127.0.0.1:{web.server_port}/200"),
        probe(f"user:hidden@127.0.0.1:{web.server_port}/503?token=hidden"),
        probe(f"127.0.0.1:{silent.getsockname()[1]}/", TIMEOUT),
        secret="hidden",  # noqa: S106 - what no reason may show
    )
