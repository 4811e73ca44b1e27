"""Calls to Azure Resource Manager through the SDK: each is one request without retries, and has a time limit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import requests
from azure.core import exceptions as azure

from occopus_core.api import AuthError, Connection, ProviderError, TransientError, within
from occopus_resource_azure import connect
from occopus_resource_azure.connect import Clients
from occopus_resource_azure.errors import ABSENT, RefusedError, StrangerError, codes, provider_error
from occopus_resource_azure.tags import Thing

T = TypeVar("T")

_FRUITLESS = 100
"""The number of pages without new entries after which a list is given up."""
_NOT_FOUND, _FORBIDDEN = 404, 403
_SHORTEST_SECRET = 4


class Cloud:
    """One subscription. The first call creates the SDK's clients. Thread-safe."""

    def __init__(self, connection: Connection, connections: int, services: Sequence[str]) -> None:
        self._connection = connection
        self._services = services
        self._connections = connections
        self.where = f"Azure at {connection.settings.get('endpoint')}"
        """The name of the cloud in errors."""
        self._lock = threading.Lock()
        self._made: Clients | None = None
        self._met = False  # whether it has ever answered as Azure Resource Manager does

    def call(self, ask: Callable[[Clients], T], key: str = "") -> T:
        """Make one request and return its answer. Raises `ProviderError`.

        `key` is the key of the description that names the requested resource.
        """
        try:
            return self._within(ask)
        except ProviderError:
            raise
        except Exception as error:  # noqa: BLE001 - what the SDK may raise is listed nowhere
            # Without its cause: the SDK's messages contain ids that would end up in logs.
            raise self._mapped(error, key) from None

    def find(self, ask: Callable[[Clients], Thing]) -> Thing | None:
        """Make one GET request and return its answer, None if the resource does not exist. Raises `ProviderError`."""

        def quietly(clients: Clients) -> Thing | None:
            try:
                return ask(clients)
            except RefusedError as error:
                if is_absent(error):
                    return None
                raise

        return self.call(quietly)

    def listed(self, ask: Callable[[Clients], Any]) -> list[Thing]:
        """Every entry of a list, once, with a request for each page; nothing if its group does not exist.

        Raises `ProviderError`.
        """
        pages = self.call(lambda clients: ask(clients).by_page())
        found: dict[str, Thing] = {}
        fruitless = 0
        while (page := self._page(pages)) is not None:
            new = {str(thing["id"]).lower(): thing for thing in page}
            fruitless += not new.keys() - found.keys()
            found.update(new)
            if fruitless > _FRUITLESS:
                raise TransientError(f"{self.where}: the pages of its list have no end")
        return list(found.values())

    def _page(self, pages: Iterator[Any]) -> list[Thing] | None:
        def turn(_clients: Clients) -> list[Thing] | None:
            try:
                page = next(pages, None)
            except RefusedError as error:
                if is_absent(error):  # the group was deleted with its content
                    return None
                raise
            return None if page is None else [plain(thing) for thing in page]

        return self.call(turn)

    def text(self, url: str, most: int) -> str:
        """The last `most` bytes of a text that can be fetched by its URL without a token. Raises `ProviderError`."""

        def fetch(clients: Clients) -> str:
            with clients.session.get(url, timeout=self._connection.call_timeout, stream=True) as answer:
                if not answer.ok:
                    raise StrangerError(answer.status_code)
                kept = b""
                for chunk in answer.iter_content(1 << 16):
                    kept = (kept + chunk)[-most:]
            return kept.decode("utf-8", "replace")

        return self.call(fetch)

    def _within(self, ask: Callable[[Clients], T]) -> T:
        for service in self._services:  # outside the time limit: on a busy machine the import takes long
            connect.load(service)
        answer = within(self._connection.call_timeout, lambda: ask(self._clients()))
        self._met = True
        return answer

    def _clients(self) -> Clients:
        with self._lock:
            if self._made is None:
                session = connect.session(self._connections)
                found = connect.login(self._connection, session)
                self._met = True  # it is a public cloud, or has answered where to log in
                self._made = connect.clients(self._connection, found, session)
            return self._made

    def _mapped(self, error: Exception, key: str) -> ProviderError:
        mapped = provider_error(_as_azure(error), self.where, self._connection.call_timeout, key, met=self._met)
        if isinstance(mapped, AuthError):
            with self._lock:
                self._made = None  # the credentials may be new at the next call
        mapped.message = self._redacted(mapped.message)
        mapped.args = (mapped.message,)
        return mapped

    def _redacted(self, text: str) -> str:
        """Replace the ids of subscription, tenant and client, which Azure repeats in its messages, by their names."""
        for key, value in self._connection.auth.items():
            if len(str(value)) >= _SHORTEST_SECRET:
                text = text.replace(str(value), f"<{key}>")
        return text


def is_absent(error: RefusedError) -> bool:
    """Whether a resource, or its parent, does not exist."""
    return error.status == _NOT_FOUND and bool(ABSENT & set(codes(error.error)))


def raw(response: Any, _deserialized: Any, _headers: Mapping[str, Any]) -> Thing:
    """For the SDK's `cls`: a resource as parsed JSON."""
    thing = raw_any(response, _deserialized, _headers)
    if "id" not in thing:
        raise StrangerError(response.http_response.status_code)
    return thing


def raw_any(response: Any, _deserialized: Any, _headers: Mapping[str, Any]) -> Thing:
    """For the SDK's `cls`: any answer as parsed JSON."""
    answer = response.http_response
    # Clients of the older generation have responses of another class.
    thing: Thing = answer.json() if hasattr(answer, "json") else json.loads(answer.body().decode("utf-8-sig"))
    if not isinstance(thing, dict):
        raise StrangerError(answer.status_code)
    return thing


def plain(thing: Any) -> Thing:
    """A model of the SDK as JSON with the names of the API, for both generations of clients."""
    found: Thing = thing.as_dict() if hasattr(thing, "keys") else thing.serialize(keep_readonly=True)
    if "id" not in found:
        raise StrangerError(200)
    return found


def _as_azure(error: Exception) -> Exception:
    """Map errors of requests, raised while the login endpoint is looked up, to those of the SDK."""
    if isinstance(error, requests.Timeout):
        return TimeoutError()
    if isinstance(error, requests.ConnectionError) and "Remote" not in str(error):
        return azure.ServiceRequestError(str(error))
    return error
