"""A proxy in front of every service of the cloud: forwards requests, counts them, and injects faults."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import http.server
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from occopus_core.testing.conformance import GARBLED, Fault, FaultInjector

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}
_ERRORS = {
    Fault.AUTH: (401, {"error": {"code": 401, "message": "The request you have made requires authentication."}}),
    Fault.THROTTLE: (429, {"overLimit": {"code": 429, "message": "This request was rate-limited."}}),
    Fault.PERMANENT: (400, {"badRequest": {"code": 400, "message": "This cannot be done."}}),
    Fault.SERVER_ERROR: (500, {"computeFault": {"code": 500, "message": "Unexpected API Error."}}),
    Fault.QUOTA: (403, {"forbidden": {"code": 403, "message": "Quota exceeded for instances: 10 of 10 are used"}}),
}
_CHANGES = ("POST", "PUT", "DELETE")


@dataclass(frozen=True)
class Request:
    service: str
    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def creates_server(self) -> bool:
        return (self.service, self.method, self.path) == ("nova", "POST", "/v2.1/servers")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


Rewording = Callable[[bytes], bytes]
Rule = Callable[[Request], "Fault | Answer | Rewording | None"]
"""The result of a request: None forwards it, a rewording changes the body of its answer."""


def html(status: int) -> Answer:
    return Answer(status, {"Content-Type": "text/html"}, b"<html><body>Welcome to nginx!</body></html>")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Proxy:
    """`targets` are the ports of the services, `ports` those to listen on, both by service."""

    def __init__(self, targets: Mapping[str, int], ports: Mapping[str, int]) -> None:
        self._targets, self._ports = targets, ports
        self._servers: list[_Server] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        self.rule: Rule = lambda _request: None
        self.requests: list[Request] = []

    def start(self) -> None:
        for service, port in self._ports.items():
            server = _Server(("127.0.0.1", port), self._handler(service))
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._released.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers.clear()

    def reset(self) -> None:
        """Remove all faults, release hanging requests, and reset counts."""
        self.requests.clear()
        self.rule = lambda _request: None
        self._released.set()
        self._released = threading.Event()
        if not self._servers:
            self.start()

    def answer(self, request: Request) -> Answer | None:
        """None where the connection is to break without an answer."""
        with self._lock:
            self.requests.append(request)
            wanted = self.rule(request)
        if wanted is Fault.HANG:
            self._released.wait(120)
            return None
        if wanted is Fault.LOST_REPLY:
            self._passed_on(request)
            return None
        if wanted in GARBLED:
            answer = self._passed_on(request)
            cut = dataclasses.replace(answer, body=answer.body[: len(answer.body) // 2])
            return cut if wanted is Fault.CUT_REPLY else html(200)
        if isinstance(wanted, Fault):
            status, body = _ERRORS[wanted]
            return Answer(
                status,
                {"Content-Type": "application/json", "Retry-After": "3", "x-openstack-request-id": "req-injected"},
                json.dumps(body).encode(),
            )
        if callable(wanted):
            answer = self._passed_on(request)
            return dataclasses.replace(answer, body=wanted(answer.body))
        return wanted or self._passed_on(request)

    def _passed_on(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._targets[request.service], timeout=60)
        try:
            connection.request(request.method, request.path, request.body or None, dict(request.headers))
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def _handler(self, service: str) -> type[http.server.BaseHTTPRequestHandler]:
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {key: value for key, value in self.headers.items() if key.lower() not in _HOP}
                answer = proxy.answer(Request(service, self.command, self.path, body, headers))
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for key, value in answer.headers.items():
                    if key.lower() not in _HOP:
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the client was killed or timed out
                    self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815  # the library's names

            def log_message(self, *_: object) -> None:
                return

        return Handler


class NovaFaults(FaultInjector):
    """`server_of` answers the server of an instance."""

    faults = frozenset(Fault)

    def __init__(self, proxy: Proxy, server_of: Callable[[str], str]) -> None:
        self._proxy = proxy
        self._server_of = server_of

    def inject(self, fault, operation):
        if fault is Fault.REFUSED_CONNECTION:
            self._proxy.stop()
        elif fault is Fault.QUOTA:
            self._proxy.rule = lambda request: fault if request.creates_server else None
        elif fault in (Fault.LOST_REPLY, *GARBLED) and operation == "create":
            self._proxy.rule = _from_the_first_change(fault)
        elif fault in GARBLED:  # who gives no token is a stranger, and not asked for anything
            self._proxy.rule = lambda request: None if request.service == "keystone" else fault
        else:
            self._proxy.rule = lambda _request: fault

    def refuse_deletion(self, id):
        path = f"/v2.1/servers/{self._server_of(id)}"
        self._proxy.rule = lambda request: (
            Fault.PERMANENT if (request.method, request.path) == ("DELETE", path) else None
        )

    def report_status(self, status):
        """Give every server this status."""

        def reworded(body):
            return re.sub(rb'"status": ?"ACTIVE"', f'"status": "{status}"'.encode(), body)

        self._proxy.rule = lambda request: reworded if request.service == "nova" and request.method == "GET" else None

    def clear(self):
        self._proxy.reset()


def _from_the_first_change(fault: Fault) -> Rule:
    """The repeat, too, hears nothing of use: it makes another request first."""
    begun = False

    def rule(request: Request) -> Fault | None:
        nonlocal begun
        begun = begun or (request.method in _CHANGES and request.service != "keystone")
        return fault if begun else None

    return rule
