"""A CloudBroker Platform on the loopback.

HTTP Basic, XML, instances that take time to start and to stop, quotas, pages and costs; calls are counted and can be
made to fail.
"""

from __future__ import annotations

import base64
import hmac
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from occopus_core.testing.web import PAGE
from occopus_resource_cloudbroker.testing.faults import Fault, Faults
from occopus_resource_cloudbroker.testing.platform import EMAIL, PASSWORD, Answer, Platform, refused

_ROUTES = (
    ("create", "POST", re.compile(r"/instances\.xml")),
    ("list", "GET", re.compile(r"/instances\.xml")),
    ("stop", "PUT", re.compile(r"/instances/([^/]+)/stop(?:\.xml)?")),
    ("costs", "GET", re.compile(r"/instances/([^/]+)/costs\.xml")),
    ("get", "GET", re.compile(r"/instances/([^/]+)\.xml")),
    ("remove", "DELETE", re.compile(r"/instances/([^/]+)\.xml")),
)
_DRIP_SECONDS = 0.05
_PER_PAGE = 25
_NO_ID = b'<?xml version="1.0" encoding="UTF-8"?>\n<instance></instance>'
_LIST_WITHOUT_IDS = b'<?xml version="1.0" encoding="UTF-8"?>\n<instances type="array"><instance></instance></instances>'


class Server:
    """A platform behind HTTP, in threads of this process: ``with Server(Platform()) as server``."""

    def __init__(self, platform: Platform, email: str = EMAIL, password: str = PASSWORD) -> None:
        self.platform = platform
        self.faults = Faults()
        self.credentials = f"{email}:{password}"
        self.during: Callable[[str, str], None] = lambda _operation, _moment: None
        """Called with the operation and ``before`` or ``after`` its effect; both before the answer."""
        self._calls: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._port = 0
        self._http: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """The URL; the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def start(self, port: int = 0) -> None:
        """Listen, on the same port as before a restart."""
        self._http = _Http(("127.0.0.1", port or self._port), self)
        self._port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening; the platform keeps its content. Idempotent."""
        http, self._http = self._http, None
        self.set_faults()
        if http is not None:
            http.shutdown()
            http.server_close()

    def set_faults(self, *rules: Fault) -> None:
        """Replace the rules."""
        self.faults.replace([replace(rule) for rule in rules])

    def calls(self) -> Counter[str]:
        """The number of calls by operation."""
        with self._lock:
            return Counter(self._calls)

    def answer(self, operation: str, id: str, query: str, authorization: str, body: bytes) -> Answer:
        """The answer to a call without a fault."""
        self.during(operation, "before")
        answer = self._done(operation, id, query, authorization, body)
        self.during(operation, "after")
        return answer

    def count(self, operation: str) -> None:
        """Count a call."""
        with self._lock:
            self._calls[operation] += 1

    def _done(self, operation: str, id: str, query: str, authorization: str, body: bytes) -> Answer:
        wanted = f"Basic {base64.b64encode(self.credentials.encode()).decode()}"
        if not hmac.compare_digest(authorization.encode(), wanted.encode()):
            return refused(HTTPStatus.UNAUTHORIZED, ["Wrong e-mail or password"], "authentication")
        platform = self.platform
        if operation == "create":
            return platform.create(body)
        if operation == "list":
            asked = {key: int(values[0]) for key, values in parse_qs(query).items()}
            return platform.list(asked.get("page", 1), asked.get("per_page", _PER_PAGE))
        if operation == "remove":
            platform.remove(id)
            return Answer(HTTPStatus.OK)
        one: dict[str, Callable[[str], Answer]] = {"get": platform.get, "stop": platform.stop, "costs": platform.costs}
        return one[operation](id)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def _serve(self) -> None:
        platform = self.server.platform
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        operation, id = _routed(self.command, url.path)
        platform.count(operation)
        changed = platform.faults.changed
        fault = platform.faults.next_for(operation, id)
        if fault is not None and fault.kind == "hang":
            changed.wait()
            self._hang_up()
        elif fault is not None and fault.kind in ("refuse", "html"):
            self._send(_refusal(fault), fault.retry_after)
        elif operation == "unknown":
            self._send(Answer(HTTPStatus.NOT_FOUND, PAGE))
        else:
            answer = platform.answer(operation, id, url.query, self.headers.get("Authorization", ""), body)
            self._spoil(answer, fault, operation, changed)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the library's names

    def _spoil(self, answer: Answer, fault: Fault | None, operation: str, changed: threading.Event) -> None:
        """Send the parts of an answer that the client receives."""
        if fault is None:
            self._send(answer)
        elif fault.kind == "lost_reply":
            self._hang_up()
        elif fault.kind == "drip":
            self._drip(answer, changed)
        elif fault.kind == "cut_reply":
            self._send(replace(answer, body=answer.body[: int(len(answer.body) * fault.share)]))
        elif fault.kind == "foreign_reply":
            self._send(Answer(HTTPStatus.OK, PAGE))
        else:
            self._send(replace(answer, body=_LIST_WITHOUT_IDS if operation == "list" else _NO_ID))

    def _send(self, answer: Answer, retry_after: int | None = None) -> None:
        self._head(answer, retry_after)
        self.wfile.write(answer.body)

    def _drip(self, answer: Answer, changed: threading.Event) -> None:
        self._head(answer, None)
        for number in range(len(answer.body)):
            self.wfile.write(answer.body[number : number + 1])
            changed.wait(_DRIP_SECONDS)

    def _head(self, answer: Answer, retry_after: int | None) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/html" if answer.body == PAGE else "application/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(answer.body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Log nothing: calls are counted instead."""


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], platform: Server) -> None:
        self.platform = platform
        super().__init__(address, _Handler)

    def handle_error(self, *_: Any) -> None:
        """Ignore errors: clients that time out hang up."""


def _routed(method: str, path: str) -> tuple[str, str]:
    """The operation, and the id of the instance."""
    for operation, wanted, pattern in _ROUTES:
        found = pattern.fullmatch(path)
        if found is not None and method == wanted:
            return operation, unquote(found[1]) if found.groups() else ""
    return "unknown", ""


def _refusal(fault: Fault) -> Answer:
    if fault.kind == "html":
        return Answer(fault.status, PAGE)
    return refused(fault.status, [fault.message], fault.type)
