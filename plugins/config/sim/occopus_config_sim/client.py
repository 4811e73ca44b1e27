"""HTTP to the simulated configuration manager."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import urllib3

from occopus_config_sim.errors import provider_error
from occopus_core.api import Connection, PermanentError, TransientError

T = TypeVar("T")

_OK = 200
_SERVER_ERROR = 500
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""Exceptions from reading an unexpected answer."""


class Client:
    """Keeps connections alive between calls; one call is one request without retries. Thread-safe."""

    def __init__(self, connection: Connection, connections: int) -> None:
        self._endpoint = str(connection.settings.get("endpoint", "")).rstrip("/")
        self._timeout = connection.call_timeout
        headers = {"Content-Type": "application/json"}
        if "api_key" in connection.auth:
            headers["X-Api-Key"] = connection.auth["api_key"]
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=connections, headers=headers, retries=False, timeout=urllib3.Timeout(self._timeout)
        )

    def call(self, operation: str, body: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
        """Make one call and return what `read` extracts from the answer. Raises `ProviderError`."""
        if not self._endpoint.startswith(("http://", "https://")):
            raise PermanentError(f"endpoint {self._endpoint!r} is not a URL")
        try:
            response = self._pool.request(
                "POST", f"{self._endpoint}/nodes/{operation}", body=json.dumps(body).encode(), redirect=False
            )
        except urllib3.exceptions.LocationValueError:
            raise PermanentError(f"endpoint {self._endpoint!r} is not a URL") from None
        except urllib3.exceptions.HTTPError as error:
            unreached = isinstance(error, urllib3.exceptions.NewConnectionError)
            message = f"simulated manager {self._endpoint}: {self._trouble(error)}"
            raise TransientError(message, unreached=unreached) from error
        return self._answer(response, read)

    def _trouble(self, error: urllib3.exceptions.HTTPError) -> str:
        if isinstance(error, urllib3.exceptions.NewConnectionError):
            return "it cannot be reached"
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return f"no answer within {self._timeout:g} s"
        return "the connection broke before the answer"

    def _answer(self, response: urllib3.BaseHTTPResponse, read: Callable[[dict[str, Any]], T]) -> T:
        request_id = response.headers.get("x-request-id")
        try:
            answer = json.loads(response.data)
            if response.status == _OK:
                return read(answer)
        except _UNREADABLE:
            answer = None
        if isinstance(answer, dict):
            raise provider_error(answer, self._endpoint, request_id)
        message = f"{self._endpoint} answered HTTP {response.status}, not as a simulated manager does"
        # The sender of a success, or a gateway, may have forwarded the call.
        unknown = response.status == _OK or response.status >= _SERVER_ERROR
        raise (TransientError if unknown else PermanentError)(message, request_id=request_id)
