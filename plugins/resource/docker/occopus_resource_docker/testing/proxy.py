"""A proxy in front of an engine: forwards requests, counts them, and injects faults."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import socket
import socketserver
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote

from occopus_core.testing.web import PAGE

Kind = Literal["refuse", "html", "hang", "drip", "lost_reply", "cut_reply", "foreign_reply", "reworded"]
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}
_DRIP_SECONDS = 0.05
_CUT_BYTES = 20
_CALL_SECONDS = 120.0


@dataclass
class Rule:
    """What happens to a request: the first rule that matches it counts."""

    kind: Kind
    """Without effect: ``refuse`` and ``html`` answer with an error, ``hang`` never answers. With effect: ``drip`` sends
    the answer byte by byte, ``lost_reply`` closes the connection instead of answering, ``cut_reply`` sends only the
    beginning of the answer, as if it were complete, ``foreign_reply`` sends `message`, or a web page, as a success,
    ``reworded`` replaces `words` in the answer by `message`."""
    request: str = ""
    """A regular expression to search in ``METHOD /path?query``."""
    status: int = 500
    message: str = ""
    words: str = ""
    retry_after: int | None = None
    count: int = -1
    """The number of requests after which the rule ends; -1 for no limit."""


class Proxy:
    """``with Proxy(engine.socket, folder) as proxy``: listens on a socket in the folder, and on a port."""

    def __init__(self, engine: Path, folder: Path) -> None:
        self.engine = engine
        self.socket = folder / "proxy.sock"
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._changed = threading.Event()
        self._servers: list[_Server] = []
        self._port = 0
        self.requests: list[str] = []
        """``METHOD /path?query`` of each request."""

    @property
    def endpoint(self) -> str:
        """The socket, as value of the key `endpoint`."""
        return f"unix://{self.socket}"

    @property
    def tcp_endpoint(self) -> str:
        """The port, as value of the key `endpoint`; the same after a restart."""
        return f"tcp://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen. Idempotent."""
        if self._servers:
            return
        by_port, by_socket = _Server(("127.0.0.1", self._port), _Handler), _SocketServer(str(self.socket), _Handler)  # type: ignore[arg-type]
        self._port = by_port.socket.getsockname()[1]
        self._servers = [by_port, by_socket]
        for server in self._servers:
            server.proxy = self
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening: connections are refused. Idempotent."""
        self.set_rules([])
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)  # noqa: PTH108

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replace the rules; requests that hang are released."""
        with self._lock:
            self._rules = list(rules)
            self._changed.set()
            self._changed = threading.Event()

    def rule_for(self, request: str) -> tuple[Rule | None, threading.Event]:
        """The rule for a request, which is counted, and the event that is set when the rules change."""
        with self._lock:
            self.requests.append(request)
            for rule in self._rules:
                if rule.count and re.search(rule.request, request):
                    rule.count -= rule.count > 0
                    return rule, self._changed
        return None, self._changed


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        rule, changed = self.server.proxy.rule_for(f"{self.command} {unquote(self.path)}")
        kind = rule.kind if rule else ""
        if rule and kind in ("refuse", "html"):
            self._refuse(rule)
            return
        if kind == "hang":
            changed.wait(_CALL_SECONDS)
            self.close_connection = True
            return
        with contextlib.closing(_SocketConnection(self.server.proxy.engine)) as engine:
            engine.request(self.command, self.path, body or None, dict(self.headers))
            answer = engine.getresponse()
            if kind == "lost_reply":
                answer.read()
                self.close_connection = True
            elif rule and kind == "foreign_reply":
                answer.read()
                self._answer(HTTPStatus.OK, rule.message.encode() or PAGE, {"Content-Type": "text/html"})
            elif rule and kind == "reworded":
                body = answer.read().replace(rule.words.encode(), rule.message.encode())
                self._answer(answer.status, body, {"Content-Type": "application/json"})
            else:
                self._pass_on(answer, changed if kind == "drip" else None, cut=kind == "cut_reply")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names are the base class's

    def _refuse(self, rule: Rule) -> None:
        body = PAGE if rule.kind == "html" else json.dumps({"message": rule.message}).encode()
        headers = {"Content-Type": "text/html" if rule.kind == "html" else "application/json"}
        if rule.retry_after is not None:
            headers["Retry-After"] = str(rule.retry_after)
        self._answer(rule.status, body, headers)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self, answer: http.client.HTTPResponse, drips: threading.Event | None, *, cut: bool) -> None:
        """Forward each chunk as it arrives: an engine reports progress while it pulls an image."""
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        bare = self.command == "HEAD" or answer.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if bare:
            self.end_headers()
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while chunk := answer.read1(_CUT_BYTES if cut else 65536):
            self._send(chunk, drips)
            if cut:
                break
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, chunk: bytes, drips: threading.Event | None) -> None:
        for part in [chunk] if drips is None else map(bytes, zip(chunk, strict=True)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            if drips is not None and not drips.is_set():
                time.sleep(_DRIP_SECONDS)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    proxy: Proxy
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def handle_error(self, *_arguments: object) -> None:
        """Ignore errors: clients hang up on purpose."""


class _SocketServer(_Server):
    address_family = socket.AF_UNIX
    allow_reuse_address = False

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = super().get_request()
        return connection, ("socket", 0)


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_CALL_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
