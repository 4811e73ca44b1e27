"""Calls to the platform: each is made once and has a time limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from xml.etree.ElementTree import Element

import requests
from requests.auth import HTTPBasicAuth

from occopus_core.api import AuthError, Connection, missing_keys, within
from occopus_resource_cloudbroker import answers
from occopus_resource_cloudbroker.answers import ForeignError, RefusalError, StrangerError
from occopus_resource_cloudbroker.errors import provider_error

T = TypeVar("T")

KEYS = ("email", "password")
"""The keys of `auth_data` that are needed."""
_HEADERS = {"Accept": "application/xml", "Content-Type": "application/xml; charset=utf-8"}
_REDIRECTED = 300
_REFUSED = 400


class Client:
    """One account at one platform. Thread-safe; each call has a connection of its own.

    The server may close a kept connection at the moment it is reused: a creation would then have an unknown outcome for
    no reason.
    """

    def __init__(self, connection: Connection) -> None:
        self._endpoint = str(connection.settings.get("endpoint", "")).rstrip("/")
        self.where = f"CloudBroker {self._endpoint}"
        """The platform's name in errors."""
        self.seconds = connection.call_timeout
        """The time limit of a call."""
        self._auth = connection.auth
        self._met = False  # whether it has ever answered as CloudBroker does

    def get(self, path: str, read: Callable[[Element | None], T], **query: int) -> T:
        """Make a GET request and return what `read` extracts from the answer. Raises `ProviderError`."""
        return self._call(lambda root, _body: read(root), "GET", path, query=query)

    def post(self, path: str, body: bytes, read: Callable[[Element | None], T]) -> T:
        """Make a POST request and return what `read` extracts from the answer. Raises `ProviderError`."""
        return self._call(lambda root, _body: read(root), "POST", path, body=body)

    def put(self, path: str) -> None:
        """Make a PUT request; an empty answer is a success. Raises `ProviderError`."""
        self._call(answers.nothing, "PUT", path)

    def _call(
        self,
        read: Callable[[Element | None, bytes], T],
        method: str,
        path: str,
        *,
        body: bytes = b"",
        query: Mapping[str, int] | None = None,
    ) -> T:
        credentials = self._credentials()
        try:
            answer = within(self.seconds, lambda: self._send(method, path, credentials, body, query))
            found = self._read(answer, read)
        except Exception as error:  # noqa: BLE001 - what the libraries may raise is listed nowhere
            failure = provider_error(error, self.where, self.seconds, met=self._met)
        else:
            self._met = True
            return found
        raise failure  # without the library's error, which contains the request and its secrets

    def _send(
        self, method: str, path: str, credentials: HTTPBasicAuth, body: bytes, query: Mapping[str, int] | None
    ) -> requests.Response:
        return requests.request(
            method,
            f"{self._endpoint}{path}",
            auth=credentials,
            data=body,
            params=query,
            headers=_HEADERS,
            timeout=self.seconds,
            allow_redirects=False,
        )

    def _read(self, answer: requests.Response, read: Callable[[Element | None, bytes], T]) -> T:
        """Extract from a successful answer. Raises `RefusalError`, `StrangerError`, `LookupError`."""
        root, retry_after = answers.parsed(answer.content), answer.headers.get("Retry-After", "")
        refused = answers.refusal(root, answer.status_code, retry_after) if root is not None else None
        if refused is not None:
            self._met = True
            raise refused
        if answer.status_code >= _REFUSED:
            raise RefusalError(answer.status_code, retry_after=retry_after)
        if answer.status_code >= _REDIRECTED:
            raise StrangerError(answer.status_code)
        try:
            return read(root, answer.content)
        except ForeignError:
            raise StrangerError(answer.status_code) from None

    def _credentials(self) -> HTTPBasicAuth:
        if missing := missing_keys(self._auth, KEYS):
            raise AuthError(f"{self.where}: {missing}: an entry of type cloudbroker in auth_data.yaml gives both")
        return HTTPBasicAuth(str(self._auth["email"]).encode(), str(self._auth["password"]).encode())
