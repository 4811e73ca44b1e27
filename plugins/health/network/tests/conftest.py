"""Targets on the loopback: servers that answer, refuse, stay silent, or return errors."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
import trustme

TIMEOUT = 0.3


@pytest.fixture
def listening() -> Iterator[Callable[..., int]]:
    """Listens on an address without ever answering; yields the port."""
    with contextlib.ExitStack() as stack:

        def listen(address: str = "127.0.0.1", port: int = 0) -> int:
            server = stack.enter_context(socket.create_server((address, port), backlog=2048))
            return int(server.getsockname()[1])

        yield listen


@pytest.fixture
def refusing() -> Iterator[int]:
    """A bound port without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port with a full queue: the kernel drops connection requests, like a firewall."""
    with socket.socket() as server, socket.socket() as first:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        first.connect(server.getsockname())
        yield server.getsockname()[1]


class _Pages(http.server.BaseHTTPRequestHandler):
    """/NUMBER answers that status; the others are named below."""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/hang-up":
                return
            case "/moved":
                self._answer(302, "/200")
            case "/moved-to-error":
                self._answer(302, "/503?token=hidden")
            case "/moved-forever":
                self._answer(302, "/moved-forever")
            case "/moved-to-ftp":
                self._answer(302, "ftp://user:hidden@127.0.0.1/")
            case "/moved-to-nonsense":
                self._answer(302, "http://user:hidden@127.0.0.1:99999/")
            case "/nonsense":
                self.wfile.write(b"\0hidden\r\n\r\n")
            case "/secured":
                allowed = self.headers["Authorization"] == "Basic dXNlcjpoaWRkZW4="
                self._answer(200 if allowed else 401)
            case path:
                self._answer(int(path[1:]))

    def _answer(self, status: int, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 2048

    def handle_error(self, *args: object) -> None:
        """Ignore errors: a client that rejects the certificate hangs up."""


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), _Pages)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web() -> Iterator[str]:
    """The root URL of a web server."""
    with serving() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure_web(authority: trustme.CA) -> Iterator[Callable[..., str]]:
    """The root URL of a web server with a certificate of a test authority."""
    with contextlib.ExitStack() as stack:

        def serve(*names: str, **options: object) -> str:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(*names, **options).configure_cert(context)
            return f"https://127.0.0.1:{stack.enter_context(serving(context))}"

        yield serve
