"""The server: says where it listens, and drains when a signal comes."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from occopus_core.rest.service import Service


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

    def serve_until_signal(self) -> bool:
        """Serve; False where that could not even begin, which was said. A signal is an orderly end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # uvicorn raises it once more at the end, which is an orderly one
        with contextlib.suppress(SystemExit):
            self.run()
        return self.started
