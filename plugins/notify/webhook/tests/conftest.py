"""A receiver on loopback that keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import http.server
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest


@dataclass
class Receiver:
    url: str = ""
    status: int = 200
    headers: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    """Each with its path, its headers and its body."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that refuses the certificate hangs up: that is what it should do."""


@contextmanager
def receiving(context: ssl.SSLContext | None = None):
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((self.path, dict(self.headers), body))
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_):
            return

    with _Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        receiver.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver
