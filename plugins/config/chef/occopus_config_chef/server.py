"""The API of a Chef server: signed calls, and the errors for refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests

from occopus_config_chef.signing import ChefSignature, load_key
from occopus_core.api import (
    AuthError,
    Connection,
    NotFoundError,
    PermanentError,
    ProviderError,
    ThrottledError,
    TransientError,
    within,
)

PAGE = 1000
"""The most rows in one answer of a search."""
_CLIENT_VERSION = "18.0.0"
_OK = range(200, 300)


class ConflictError(PermanentError):
    """An object of that name already exists."""


class ChefServer:
    """One organisation of a Chef server, or a goiardi. Thread-safe; calls end within `Connection.call_timeout`."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._endpoint = str(connection.settings.get("endpoint", "")).rstrip("/")
        self._now = now
        self._signature: ChefSignature | None = None

    def get(self, *path: str, **query: str) -> dict[str, Any]:
        """Raises `NotFoundError` and the other `ProviderError`s."""
        return self._call("GET", path, None, query)

    def post(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises `ConflictError` if the object exists, and the other `ProviderError`s."""
        return self._call("POST", path, body)

    def put(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises `ProviderError`."""
        return self._call("PUT", path, body)

    def delete(self, *path: str) -> None:
        """An absent object is a success. Raises `ProviderError`."""
        try:
            self._call("DELETE", path, None)
        except NotFoundError:
            return

    def search_nodes(self, query: str) -> Iterator[dict[str, Any]]:
        """Every node in the server's index that matches a query, page by page. The index lags by seconds."""
        start = 0
        while True:
            answer = self.get("search", "node", q=query, start=str(start), rows=str(PAGE))
            rows, total = answer.get("rows"), answer.get("total")
            if not isinstance(rows, list) or not isinstance(total, int):
                raise TransientError(f"the Chef server at {self._endpoint} answered a search without rows")
            yield from (row for row in rows if isinstance(row, dict))
            start += len(rows)
            if not rows or start >= total:
                return

    def _call(
        self, method: str, path: tuple[str, ...], body: Mapping[str, Any] | None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        url = "/".join((self._endpoint, *(quote(part, safe="") for part in path)))
        seconds = self._connection.call_timeout
        auth = self._auth()
        try:
            answer = within(seconds, lambda: _send(method, url, body, query, auth, seconds))
        except (TimeoutError, requests.Timeout):
            raise TransientError(f"the Chef server at {self._endpoint} did not answer within {seconds:g} s") from None
        except requests.ConnectionError as error:
            refused = "refused" in str(error)
            why = "the connection was refused" if refused else "the connection failed"
            raise TransientError(f"the Chef server at {self._endpoint}: {why}", unreached=refused) from None
        except (requests.RequestException, ValueError) as error:
            raise PermanentError(f"the Chef server at {self._endpoint}: {type(error).__name__}") from None
        if answer.status_code not in _OK:
            raise _error(answer, f"{method} /{'/'.join(path)}", self._endpoint)
        found = _json(answer)
        if not isinstance(found, dict):
            # goiardi answers unknown paths with 200 and an empty body.
            raise TransientError(
                f"{self._endpoint} does not answer as a Chef server: check the endpoint, which for a Chef Infra Server "
                "ends in /organizations/NAME"
            )
        return found

    def _auth(self) -> ChefSignature:
        if self._signature is None:
            auth = self._connection.auth
            missing = [key for key in ("client_name", "client_key") if not auth.get(key)]
            if missing:
                raise AuthError(
                    f"no {' and '.join(missing)} for the Chef server at {self._endpoint}: add them to an entry of "
                    "config_management in the credentials file"
                )
            self._signature = ChefSignature(auth["client_name"], load_key(auth["client_key"]), self._now)
        return self._signature


def time_of_day() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


def _send(
    method: str,
    url: str,
    body: Mapping[str, Any] | None,
    query: Mapping[str, str] | None,
    auth: ChefSignature,
    seconds: float,
) -> requests.Response:
    headers = {"Accept": "application/json", "X-Chef-Version": _CLIENT_VERSION}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body)
    return requests.request(
        method, url, params=query, data=data, headers=headers, auth=auth, timeout=seconds, allow_redirects=False
    )


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _error(answer: requests.Response, call: str, endpoint: str) -> ProviderError:
    """The error for an answer that is no success."""
    status = answer.status_code
    message = f"the Chef server at {endpoint} refused {call}: {_words(answer) or f'status {status}'}"
    if status == requests.codes.unauthorized:
        advice = "" if "clock" in message else ": check client_name and client_key in the credentials file"
        return AuthError(message + advice)
    if status == requests.codes.forbidden:
        return AuthError(message, unreached=False)
    if status == requests.codes.too_many_requests:
        after = answer.headers.get("Retry-After", "")
        return ThrottledError(message, retry_after=float(after) if after.isdecimal() else None)
    kinds: dict[int, type[ProviderError]] = {
        requests.codes.not_found: NotFoundError,
        requests.codes.conflict: ConflictError,
        requests.codes.request_timeout: TransientError,
    }
    if status >= requests.codes.server_error:
        return TransientError(message)
    return kinds.get(status, PermanentError)(message)


def _words(answer: requests.Response) -> str:
    """The texts of ``{"error": [...]}``; other content is not repeated."""
    found = _json(answer)
    errors = found.get("error") if isinstance(found, dict) else None
    if isinstance(errors, str):
        return errors
    return "; ".join(str(error) for error in errors) if isinstance(errors, list) else ""
