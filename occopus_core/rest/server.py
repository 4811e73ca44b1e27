"""The server: says where it listens, and drains when a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from occopus_core.rest.service import Service

MOST_CONNECTIONS = 500
"""More are closed at once: files and sockets must be left for the store and the providers (of 1024, as a rule)."""

BACKLOG = 2048
"""So many clients may wait to be let in."""

REQUEST_SECONDS = 15.0
"""How long a client may take from connecting, or from its last answer, to the end of the next request's headers."""

UNREAD_SECONDS = 30.0
"""How long a client may leave unread what it was sent, once that is more than a connection holds back (64 KiB)."""

DRAIN_SECONDS = 10
"""How long requests under way are waited for at the end."""


class Protocol(H11Protocol):
    """HTTP for clients that may mean no good: bounded in their number, and in the time they take to ask and to read.

    h11 takes nothing that could be read in two ways; the limits on bodies are those of the routes.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A client came."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._expect_request()

    def handle_events(self) -> None:
        """Bytes came."""
        super().handle_events()
        if self._answering:
            _cancel(self._deadline)

    def on_response_complete(self) -> None:
        """A request was answered; the next one may be there already."""
        super().on_response_complete()
        if not self._answering:
            self._expect_request()

    def pause_writing(self) -> None:
        """The client does not read. To close is not enough: what it was sent would be kept for it."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read nearly all."""
        super().resume_writing()
        _cancel(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        _cancel(self._deadline)
        _cancel(self._unread)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_request(self) -> None:
        _cancel(self._deadline)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def configure(
    app: FastAPI, host: str, port: int, certificate: str | None = None, key: str | None = None
) -> uvicorn.Config:
    """How an application is served; `certificate` and `key` are PEM files. Raises `OSError` where those are none."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
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
    """Nobody can be served at an address; the message says why, and what to do."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets at all addresses of a host, to be given to `Server.serve_until_signal`. Raises `ListenError`."""
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
        """A signal: whoever waits in a request is answered at once, so that the server can end."""
        self._service.stopping.set()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for server in getattr(self, "servers", ()):
            for one in server.sockets:
                host, port = one.getsockname()[:2]
                scheme = "https" if self.config.is_ssl else "http"
                self._say(f"listening on {scheme}://{f'[{host}]' if ':' in host else host}:{port}")

    def serve_until_signal(self, sockets: list[socket.socket]) -> bool:
        """Serve; False where that could not even begin, which was said. A signal is an orderly end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # uvicorn raises it once more at the end, which is an orderly one
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(signal.SIGHUP, self.handle_exit)
        with contextlib.suppress(SystemExit):
            self.run(sockets)
        return self.started
