"""HTTPS server of the resource manager: reads calls, applies faults to answers, and counts."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from occopus_core.testing.web import PAGE
from occopus_resource_azure.testing.arm import Arm
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.wire import Answer, Path, Request

_DRIP_SECONDS = 0.02
_JSON = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Exchange:
    """A call and its answer, before faults change it."""

    request: Request
    url: str
    answer: Answer


class Server(http.server.ThreadingHTTPServer):
    """Serves one `Arm` over TLS."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.arm: Arm | None = None
        self.observers: list[Callable[[Exchange], None]] = []
        self.check: Callable[[Request, Answer], list[str]] | None = None
        """Checks exchanges and returns their violations."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.under_way = 0

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Register the connection, so that `cut` can close it."""
        with self._lock:
            self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)

    def cut(self) -> None:
        """Close every connection."""
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        """Ignore errors: clients may hang up, or reject the certificate."""

    @contextlib.contextmanager
    def counted(self) -> Any:
        """Count a call as in progress."""
        with self._lock:
            self.under_way += 1
            if self.arm is not None:
                self.arm.most_at_once = max(self.arm.most_at_once, self.under_way)
        try:
            yield
        finally:
            with self._lock:
                self.under_way -= 1


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # Send an answer in one packet: a second one would wait 40 ms for the first to be acknowledged.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: Server
    _bodyless: ClassVar[frozenset[int]] = frozenset({204, 304})

    def do_GET(self) -> None:
        """Answer any call."""
        arm = self.server.arm
        if arm is None:  # pragma: no cover - it is set before the server listens
            return
        with self.server.counted():
            request = self._request()
            call = arm.called(request)
            with arm.lock:
                arm.calls[str(call)] += 1
            fault = arm.faults.next_for(call, operations=False)
            changed = arm.faults.changed
            if fault is not None and fault.kind == "hang":
                changed.wait()
                self._hang_up()
                return
            answer = refusal(fault, call.type) if fault is not None and fault.kind in ("refuse", "html") else None
            if answer is None:
                request.operation_fault = arm.faults.next_for(call, operations=True)
                answer = arm.answer(request)
            answer = self._checked(request, answer)
            for observer in self.server.observers:
                observer(Exchange(request, self.path, answer))
        self._reply(answer, fault, changed)

    do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815 - as the library calls them

    def _request(self) -> Request:
        address = urlsplit(self.path)
        path = unquote(address.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0") or 0))
        body: Any = None
        if raw:
            text = raw.decode(errors="replace")
            try:
                body = text if "form" in self.headers.get("Content-Type", "") else json.loads(text)
            except ValueError:
                body = text
        query = {name.lower(): value for name, value in parse_qsl(address.query, keep_blank_values=True)}
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path, query, headers, body, Path.parse(path) or Path())

    def _checked(self, request: Request, answer: Answer) -> Answer:
        """The answer, or an error if the exchange violates the contract."""
        found = self.server.check(request, answer) if self.server.check is not None else []
        if not found:
            return answer
        message = "; ".join(found)
        return Answer(500, {"error": {"code": "AgainstTheContract", "message": message}}, {"Content-Type": _JSON})

    def _reply(self, answer: Answer, fault: Fault | None, changed: threading.Event) -> None:
        kind = fault.kind if fault is not None else ""
        if kind == "lost_reply":
            self._hang_up()
            return
        body = answer.encoded()
        status, headers = answer.status, answer.headers
        if fault is not None and kind == "cut_reply":
            body = body[: int(len(body) * fault.share)]
        if kind == "foreign_reply":
            status, headers, body = 200, {"Content-Type": "text/html"}, PAGE
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in self._bodyless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "drip":
            self._drip(body, changed)
        else:
            self.wfile.write(body)

    def _drip(self, body: bytes, changed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            for number in range(len(body)):
                self.wfile.write(body[number : number + 1])
                self.wfile.flush()
                changed.wait(_DRIP_SECONDS)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Log nothing: calls are counted instead."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time of an answer."""
        return super().date_time_string(int(timestamp if timestamp is not None else time.time()))


def refusal(fault: Fault, type: str) -> Answer:
    """The answer of a ``refuse`` or ``html`` fault."""
    if fault.kind == "html":
        page = b"<!DOCTYPE html><html><body>Our services aren't available right now</body></html>"
        return Answer(fault.status, page, {"Content-Type": "text/html", **fault.headers})
    headers = {"Content-Type": _JSON, **fault.headers}
    if type == "login":
        return Answer(fault.status, {"error": fault.code, "error_description": fault.message}, headers)
    return Answer(fault.status, {"error": fault.error()}, headers)
