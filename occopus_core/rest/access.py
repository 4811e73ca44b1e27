"""Middleware around every request: request id, access log, security headers, checks of calls from browsers."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from occopus_core.rest.problems import problem

_log = logging.getLogger("occopus.access")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CONNECTION = "occopus.connection"
"""The key of a request's scope that holds its `connections.ClientConnection`."""
_READING = frozenset({"GET", "HEAD"})


class Access:
    """ASGI middleware. `origins` are web pages that may call; `hosts`, if given, are the accepted host names."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str] = (), hosts: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        began, status = time.monotonic(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _protect(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            refusal = self._refusal(scope["method"], headers) or _overload(scope, headers)
            await (refusal or self._app)(scope, receive, answer)
        finally:
            client = scope["client"][0] if scope.get("client") else ""
            _write(request_id, client, scope["method"], scope["path"], status, time.monotonic() - began)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        """Reject malformed or cross-origin requests.

        A page opened in a user's browser must not call the service with the user's access, or under another host name.
        A body with two lengths is refused because a proxy may have used the other length.
        """
        if "content-length" in headers and "transfer-encoding" in headers:
            return problem(400, "the body has two lengths", headers={"Connection": "close"})
        host = urlsplit(f"//{headers.get('host', '')}").hostname if _possible(headers.get("host", "")) else None
        if self._hosts and host not in self._hosts:
            return problem(403, "unknown host name")
        origin = headers.get("origin")
        same = origin is not None and origin.partition("://")[2] == headers.get("host")
        if origin is not None and method not in _READING and not same and origin not in self._origins:
            return problem(403, "calls from pages of other servers are not allowed")
        return None


def _overload(scope: Scope, headers: Headers) -> Response | None:
    """Refuse a request if only the reserve of connections is left, for health checks and requests with a token."""
    connection = scope.get(CONNECTION)
    if connection is None or not connection.crowded or scope["path"] == "/healthz" or "authorization" in headers:
        return None
    return problem(503, "too many connections", headers={"Connection": "close", "Retry-After": "10"})


def _possible(host: str) -> bool:
    try:
        urlsplit(f"//{host}")
    except ValueError:
        return False
    return True


def _protect(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-Id"] = request_id
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)


def _write(request_id: str, client: str, method: str, path: str, status: int, seconds: float) -> None:
    record = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request": request_id,
        "client": client,
        "method": method,
        "path": path,
        "status": status,
        "seconds": round(seconds, 4),
    }
    _log.info(json.dumps(record))
