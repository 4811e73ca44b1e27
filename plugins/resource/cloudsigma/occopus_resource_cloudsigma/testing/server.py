"""A CloudSigma on the loopback, for tests."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from occopus_core.testing.web import PAGE
from occopus_resource_cloudsigma.testing.behaviour import Behaviour
from occopus_resource_cloudsigma.testing.faults import Fault, Faults
from occopus_resource_cloudsigma.testing.model import Model, RefusedError, Thing
from occopus_resource_cloudsigma.testing.routes import Call, Routes

EMAIL = "me@example.org"
PASSWORD = "a-password-for-tests"  # noqa: S105 - it opens nothing

_JSON = "application/json; charset=utf-8"
_API = re.compile(r"/api/2\.0(?=/)")


class CloudSigma:
    """An account at a location: ``with CloudSigma() as cloud``. Its content lasts as long as the object."""

    def __init__(
        self, behaviour: Behaviour | None = None, *, clock: Callable[[], float] = time.monotonic, port: int = 0
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.model = Model(clock, self.behaviour)
        self._clock = clock
        self._routes = Routes(self.model)
        self._faults = Faults(self.model.seed)
        self._lock = threading.Lock()
        self._port = port
        self._server: _Server | None = None
        self.log: list[str] = []
        """Every call so far: method, path and query."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The URL; the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen."""
        self._server = _Server(self, self._port)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            self._faults.replace([])
            server.shutdown()
            server.server_close()

    def fail(self, *rules: Fault) -> None:
        """Replace the fault rules."""
        self._faults.replace(rules)

    def inventory(self) -> list[Thing]:
        """Every server and every drive of the account."""
        with self._lock:
            self.model.let_time_pass()
            return [*self.model.servers.values(), *self.model.drives.values()]

    def servers(self) -> list[Thing]:
        """Every server of the account."""
        with self._lock:
            self.model.let_time_pass()
            return list(self.model.servers.values())

    def drives(self) -> list[Thing]:
        """Every drive of the account, without those of the library."""
        with self._lock:
            self.model.let_time_pass()
            return list(self.model.drives.values())

    def calls(self, form: str = "") -> int:
        """The number of calls that match the regular expression."""
        return sum(1 for call in list(self.log) if re.search(form, call))

    def reset(self, **behaviour: Any) -> None:
        """Remove all content, faults and counts; continue with this behaviour."""
        with self._lock:
            self.behaviour = Behaviour(**behaviour)
            self.model = Model(self._clock, self.behaviour)
            self._routes = Routes(self.model)
            self.log.clear()
        self._faults.replace([])

    def answer(self, method: str, target: str, authorization: str, body: bytes) -> Reply | None:
        """The answer to one request; None to close the connection without one."""
        parts = urlsplit(target)
        line = f"{method} {_API.sub('', target, count=1)}"
        self.log.append(line)
        changed, fault = self._faults.changed, self._faults.next_for(line)
        if fault is not None and fault.kind == "hang":
            changed.wait()
            return None
        if fault is not None and fault.kind in ("refuse", "html"):
            return _refused(fault)
        reply = self._take(method, parts.path, parts.query, authorization, body)
        if fault is None:
            return reply
        if fault.kind == "lost_reply":
            return None
        if fault.kind == "cut_reply":
            return Reply(reply.status, reply.content[: len(reply.content) // 2], reply.type)
        return Reply(HTTPStatus.OK, PAGE, "text/html")

    def _take(self, method: str, path: str, query: str, authorization: str, body: bytes) -> Reply:
        if not _API.match(path):
            return Reply(HTTPStatus.NOT_FOUND, PAGE, "text/html")
        expected = "Basic " + base64.b64encode(f"{EMAIL}:{PASSWORD}".encode()).decode()
        try:
            if authorization != expected:
                raise RefusedError(HTTPStatus.UNAUTHORIZED, "permission", "Authentication failed")
            call = Call(method, path, dict(parse_qsl(query)), json.loads(body) if body else None)
            with self._lock:
                status, content = self._routes.answer(call)
                return Reply(status, b"" if content is None else json.dumps(content).encode())
        except RefusedError as error:
            return Reply(error.status, json.dumps(error.errors).encode())
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            return Reply(
                HTTPStatus.BAD_REQUEST,
                json.dumps(RefusedError(400, "validation", f"Malformed: {error!r}").errors).encode(),
            )


class Reply:
    """An HTTP response."""

    def __init__(self, status: int, content: bytes, type: str = _JSON, retry_after: int | None = None) -> None:
        self.status, self.content, self.type, self.retry_after = status, content, type, retry_after


def _refused(fault: Fault) -> Reply:
    if fault.kind == "html":
        return Reply(fault.status, PAGE, "text/html")
    errors = RefusedError(fault.status, fault.error_type, fault.message, fault.point).errors
    return Reply(fault.status, json.dumps(errors).encode(), retry_after=fault.retry_after)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, cloud: CloudSigma, port: int) -> None:
        self.cloud = cloud
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Register the connection, so that it can be closed with the server."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Unregister the connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close all connections too."""
        super().server_close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        """Ignore errors: clients may hang up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        cloud = self.server.cloud  # type: ignore[attr-defined]
        reply = cloud.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
        if reply is None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.type)
        self.send_header("Content-Length", str(len(reply.content)))
        if reply.retry_after is not None:
            self.send_header("Retry-After", str(reply.retry_after))
        self.end_headers()
        self.wfile.write(reply.content)

    do_GET = do_POST = do_PUT = do_DELETE = _respond  # noqa: N815 - as the library calls them

    def log_message(self, *_: Any) -> None:
        """Log nothing: the calls are in the log of the cloud."""
