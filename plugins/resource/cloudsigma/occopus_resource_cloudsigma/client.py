"""HTTP calls to CloudSigma. One call is one request without retries, and has a time limit."""

from __future__ import annotations

import contextlib
import http.cookiejar
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from occopus_core.api import AuthError, Connection, PermanentError, TransientError, missing_keys, within
from occopus_resource_cloudsigma.errors import RefusalError, StrangerError, provider_error
from occopus_resource_cloudsigma.marks import Thing

API = "/api/2.0"
KEYS = ("email", "password")
"""The keys of `auth_data` that are needed."""
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""Raised by reading a field that is missing or of another type."""
_SHORTEST_SECRET = 4
"""Shorter texts are too common to be removed from a message."""


def base_url(endpoint: str) -> str:
    """The URL of the API, from one with or without its path and a final slash. Raises `PermanentError`.

    >>> base_url("https://zrh.cloudsigma.com/")
    'https://zrh.cloudsigma.com/api/2.0'
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PermanentError("resource.endpoint must be a URL, such as https://zrh.cloudsigma.com")
    if parts.username is not None or parts.password is not None:
        raise PermanentError("resource.endpoint has credentials in it: they belong into the auth_data")
    path = parts.path.rstrip("/").removesuffix(API)
    return urlunsplit((parts.scheme, parts.netloc, f"{path}{API}", "", ""))


class Client:
    """One account at one endpoint. Thread-safe; the constructor does no I/O."""

    def __init__(self, connection: Connection, connections: int) -> None:
        self._endpoint = str(connection.settings.get("endpoint", ""))
        self._auth = connection.auth
        self._seconds = connection.call_timeout
        self._met = False  # whether it has ever answered as CloudSigma does
        self._session = requests.Session()
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))

    @property
    def where(self) -> str:
        """The name of the endpoint in errors."""
        return f"CloudSigma {self._endpoint}"

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Thing:
        """Make a GET request and return its answer. Raises `ProviderError`."""
        return self._object(self._call("GET", path, query=query))

    def send(
        self, method: str, path: str, body: Any, query: Mapping[str, Any] | None = None, *, key: str = ""
    ) -> Thing:
        """Make a changing request and return its answer. Raises `ProviderError`.

        A missing resource is `NotFoundError` with `key`, its key in the description.
        """
        return self._object(self._call(method, path, query=query, body=body, key=key))

    def act(self, path: str, action: str, body: Any = None, *, key: str = "") -> Thing:
        """Request an action and return the answer; acceptance does not mean success. Raises `ProviderError`."""
        return self.send("POST", f"{path}action/", body or {}, {"do": action}, key=key)

    def delete(self, path: str, query: Mapping[str, Any] | None = None) -> None:
        """Request a deletion; an absent resource is a success. Raises `ProviderError`."""
        self._call("DELETE", path, query=query, absent_is_success=True)

    def listed(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[Thing]:
        """Every entry of a list, once. Raises `ProviderError`, also while being iterated.

        One request asks for all; if fewer are returned, the next one continues after them.
        """
        seen: set[str] = set()
        offset, expected = 0, None
        while True:
            following = {"offset": offset} if offset else {}
            things, total = self._page(self.get(path, {**(query or {}), "limit": 0, **following}))
            if expected not in (None, total):  # an entry may have moved to an earlier page
                raise TransientError(f"{self.where}: its list {path} changed while it was read")
            new = [thing for thing in things if thing["uuid"] not in seen]
            yield from new
            seen.update(thing["uuid"] for thing in new)
            offset, expected = offset + len(things), total
            if offset >= total:
                return
            if not new:
                raise TransientError(f"{self.where}: its list {path} has {total} entries and shows {len(seen)}")

    def _page(self, answer: Thing) -> tuple[list[Thing], int]:
        """The entries of a page, and the total number of entries. Raises `TransientError`."""
        about, things = answer.get("meta"), answer.get("objects")
        total = about.get("total_count") if isinstance(about, dict) else None
        if isinstance(total, int) and isinstance(things, list) and all(map(is_thing, things)):
            return things, total
        raise self._strange()

    def only(self, answer: Thing) -> Thing:
        """The only object in the answer to its creation. Raises `TransientError` if it is missing."""
        things = answer.get("objects")
        if isinstance(things, list) and things and is_thing(things[0]):
            thing: Thing = things[0]
            return thing
        raise self._strange()

    def _object(self, answer: Any) -> Thing:
        if isinstance(answer, dict):
            return answer
        raise self._strange()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """A context for reading an answer. Raises `TransientError` for an unexpected one."""
        try:
            yield
        except _UNREADABLE as error:
            raise self._strange() from error

    def _strange(self) -> TransientError:
        return TransientError(f"{self.where}: something is missing in its answer")

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        key: str = "",
        absent_is_success: bool = False,
    ) -> Any:
        if missing := missing_keys(self._auth, KEYS):
            raise AuthError(f"{self.where}: {missing}")
        url = f"{base_url(self._endpoint)}{path}"
        try:
            response = within(self._seconds, lambda: self._request(method, url, query, body))
            return self._read(method, response, absent_is_success=absent_is_success)
        except Exception as error:  # noqa: BLE001 - what the library may raise is listed nowhere
            failure = provider_error(error, self.where, self._seconds, key, met=self._met)
            failure.message = self._scrubbed(failure.message, body)
            failure.args = (failure.message,)
            raise failure from (error if isinstance(error, RefusalError | StrangerError) else None)

    def _request(self, method: str, url: str, query: Mapping[str, Any] | None, body: Any) -> requests.Response:
        return self._session.request(
            method,
            url,
            params=query,
            json=body,
            headers={"Accept": "application/json"},
            auth=HTTPBasicAuth(self._auth["email"].encode(), self._auth["password"].encode()),
            timeout=self._seconds,
            allow_redirects=False,
        )

    def _read(self, method: str, response: requests.Response, *, absent_is_success: bool) -> Any:
        """The content of a success. Raises `RefusalError` and `StrangerError`."""
        status = response.status_code
        content = _content(response)
        if status < HTTPStatus.MULTIPLE_CHOICES:
            if isinstance(content, dict):
                self._met = True
            elif response.content:
                raise StrangerError(status)
            return content
        errors = _errors(response, content)
        self._met = self._met or bool(errors)
        if absent_is_success and errors is not None and status == HTTPStatus.NOT_FOUND:
            return None
        raise RefusalError(method, status, response.headers, errors)

    def _scrubbed(self, message: str, body: Any) -> str:
        """A message without the secrets in the request, which a validation error might quote."""
        for secret in (*self._auth.values(), *_secrets(body)):
            if len(secret) >= _SHORTEST_SECRET:
                message = message.replace(secret, "…")
        return message


def is_thing(value: Any) -> bool:
    """Whether an entry of a list is a drive or a server."""
    return isinstance(value, dict) and isinstance(value.get("uuid"), str)


def _content(response: requests.Response) -> Any:
    """The JSON of an answer; None if it is not JSON."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _errors(response: requests.Response, content: Any) -> list[Mapping[str, Any]] | None:
    """CloudSigma's list of errors, empty for an answer without a body; None where the body is something else."""
    if not response.content:
        return []
    found = [content] if isinstance(content, dict) else content
    if isinstance(found, list) and found and all(isinstance(one, dict) and "error_message" in one for one in found):
        return found
    return None


def _secrets(body: Any) -> Iterator[str]:
    things = body.get("objects", ()) if isinstance(body, dict) else ()
    for thing in things:
        yield str(thing.get("vnc_password", ""))
        yield from (str(value) for value in (thing.get("meta") or {}).values())
