"""The HTTP server: announces its addresses, and drains at a signal."""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import fcntl
import signal
import socket
import termios
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, ClassVar

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from occopus_core.rest.access import CONNECTION
from occopus_core.rest.connections import ConnectionLimits
from occopus_core.rest.service import Service

BACKLOG = 2048
"""How many connections may wait to be accepted."""

REQUEST_SECONDS = 15.0
"""How long a client may take, from the connection or its last answer, to send the headers of a request."""

UNREAD_SECONDS = 30.0
"""How long a client may leave an answer unread that exceeds the buffer of a connection (64 KiB)."""

DRAIN_SECONDS = 10
"""How long a shutdown waits for requests in progress."""


class Protocol(H11Protocol):
    """HTTP with protection against hostile clients: limits on connections and on times to send and read.

    h11 refuses ambiguous requests; the routes limit the bodies.
    """

    limits: ClassVar[ConnectionLimits]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self.authenticated = False

    @property
    def crowded(self) -> bool:
        """True if only ``/healthz`` and authenticated requests are answered."""
        return self.limits.crowded

    @property
    def unread(self) -> bool:
        """True if received bytes have not been read yet."""
        waiting = array.array("i", [0])
        with contextlib.suppress(OSError):  # it is already closed
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.FIONREAD, waiting)
        return waiting[0] > 0

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A client has connected."""
        super().connection_made(transport)
        self._expect_request()
        self.limits.opened(self)

    def handle_events(self) -> None:
        """Data has arrived."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self.cycle.scope[CONNECTION] = self  # type: ignore[literal-required]  # its task has not begun yet
        if self._answering:
            _cancel(self._deadline)
            if self.conn.their_state is not h11.SEND_BODY:
                self.limits.busy(self)

    def on_response_complete(self) -> None:
        """An answer is complete; the next request may have arrived already."""
        super().on_response_complete()
        if not self._answering:
            self._expect_request()

    def pause_writing(self) -> None:
        """The client does not read. Aborts later, as closing would keep the unsent data in memory."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read nearly all data."""
        super().resume_writing()
        _cancel(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self.limits.closed(self)
        super().connection_lost(exc)
        _cancel(self._deadline)
        _cancel(self._unread)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_request(self) -> None:
        _cancel(self._deadline)
        self.limits.idle(self)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def configure(
    app: FastAPI,
    host: str,
    port: int,
    certificate: str | None = None,
    key: str | None = None,
    proxies: Sequence[str] = (),
) -> uvicorn.Config:
    """The configuration of uvicorn; `certificate` and `key` are PEM files. Raises `OSError` if they are invalid.

    `proxies` are addresses and networks: X-Forwarded-For and X-Forwarded-Proto are believed from these alone.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=type("LimitedProtocol", (Protocol,), {"limits": ConnectionLimits(proxies)}),
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    config.load()
    return config


class ListenError(Exception):
    """Cannot listen on the address; the message says why, and what to do."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets for all addresses of a host, to be given to `Server.serve_until_signal`. Raises `ListenError`."""
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            sockets.append(socket.create_server(address[:2], family=family, backlog=BACKLOG))
    except (OSError, UnicodeError) as error:
        for one in sockets:
            one.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise ListenError(f"port {port} of {host} is taken: choose another with --port") from error
        reason = getattr(error, "strerror", None) or "this is not the name of a host"
        raise ListenError(f"port {port} of {host} cannot be listened on: {reason}") from error
    return sockets


class Server(uvicorn.Server):
    """Serves one service."""

    def __init__(self, config: uvicorn.Config, service: Service, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._say = say
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal: waiting requests are answered at once, so that the server can end."""
        self._service.stopping.set()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and announce the addresses."""
        await super().startup(sockets)
        for server in getattr(self, "servers", ()):
            for one in server.sockets:
                host, port = one.getsockname()[:2]
                scheme = "https" if self.config.is_ssl else "http"
                self._say(f"listening on {scheme}://{f'[{host}]' if ':' in host else host}:{port}")

    def serve_until_signal(self, sockets: list[socket.socket]) -> bool:
        """Serve until a signal. False if the server could not start, which it has logged."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # uvicorn raises it again at the end
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under `nohup`
            signal.signal(signal.SIGHUP, self.handle_exit)
        with contextlib.suppress(SystemExit):
            self.run(sockets)
        return self.started
