"""Calls to Azure Resource Manager through the SDK: each is one request, made once, and ends in time."""

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
"""The most pages of one list that bring nothing new."""
_NOT_FOUND, _FORBIDDEN = 404, 403
_SHORTEST_SECRET = 4


class Cloud:
    """One subscription. The SDK's clients are made by the first call. Thread-safe."""

    def __init__(self, connection: Connection, connections: int, services: Sequence[str]) -> None:
        self._connection = connection
        self._services = services
        self._connections = connections
        self.where = f"Azure at {connection.settings.get('endpoint')}"
        """What it is called in errors."""
        self._lock = threading.Lock()
        self._made: Clients | None = None
        self._met = False  # whether it has ever answered as Azure Resource Manager does

    def call(self, ask: Callable[[Clients], T], key: str = "") -> T:
        """What one request answers. `key` is what the description calls the thing asked for. Raises `ProviderError`."""
        try:
            return self._within(ask)
        except ProviderError:
            raise
        except Exception as error:  # noqa: BLE001 - what the SDK may raise is listed nowhere
            # Without its cause: the SDK's messages are full of ids, and end in logs.
            raise self._told(error, key) from None

    def find(self, ask: Callable[[Clients], Thing]) -> Thing | None:
        """What one GET answers, None where there is no such resource. Raises `ProviderError`."""

        def quietly(clients: Clients) -> Thing | None:
            try:
                return ask(clients)
            except RefusedError as error:
                if is_absent(error):
                    return None
                raise

        return self.call(quietly)

    def listed(self, ask: Callable[[Clients], Any]) -> list[Thing]:
        """Everything in a list, each thing once, a request for each page; nothing where its group is gone.

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
                if is_absent(error):  # the group is gone, and all that was in it
                    return None
                raise
            return None if page is None else [plain(thing) for thing in page]

        return self.call(turn)

    def text(self, url: str, most: int) -> str:
        """The last `most` bytes, at most, of a text that its URL alone gives access to. Raises `ProviderError`."""

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
        for service in self._services:  # that an import takes long on a busy machine is not the cloud's doing
            connect.load(service)
        answer = within(self._connection.call_timeout, lambda: ask(self._clients()))
        self._met = True
        return answer

    def _clients(self) -> Clients:
        with self._lock:
            if self._made is None:
                session = connect.session(self._connections)
                found = connect.login(self._connection, session)
                self._met = True  # it is a public cloud, or has said where to log in
                self._made = connect.clients(self._connection, found, session)
            return self._made

    def _told(self, error: Exception, key: str) -> ProviderError:
        told = provider_error(_as_azure(error), self.where, self._connection.call_timeout, key, met=self._met)
        if isinstance(told, AuthError):
            with self._lock:
                self._made = None  # what the credentials are found in may have been renewed by the next call
        told.message = self._redacted(told.message)
        told.args = (told.message,)
        return told

    def _redacted(self, text: str) -> str:
        """Azure repeats the ids of subscription, tenant and client in its messages; they are named instead."""
        for key, value in self._connection.auth.items():
            if len(str(value)) >= _SHORTEST_SECRET:
                text = text.replace(str(value), f"<{key}>")
        return text


def is_absent(error: RefusedError) -> bool:
    """Whether a resource, or what it is in, does not exist."""
    return error.status == _NOT_FOUND and bool(ABSENT & set(codes(error.error)))


def raw(response: Any, _deserialized: Any, _headers: Mapping[str, Any]) -> Thing:
    """For the SDK's `cls`: a resource as it came."""
    thing = raw_any(response, _deserialized, _headers)
    if "id" not in thing:
        raise StrangerError(response.http_response.status_code)
    return thing


def raw_any(response: Any, _deserialized: Any, _headers: Mapping[str, Any]) -> Thing:
    """For the SDK's `cls`: an answer as it came, though it is no resource."""
    answer = response.http_response
    # The clients of the older generation have answers of the older sort.
    thing: Thing = answer.json() if hasattr(answer, "json") else json.loads(answer.body().decode("utf-8-sig"))
    if not isinstance(thing, dict):
        raise StrangerError(answer.status_code)
    return thing


def plain(thing: Any) -> Thing:
    """A model of the SDK with the names that JSON has, whichever generation it is of."""
    found: Thing = thing.as_dict() if hasattr(thing, "keys") else thing.serialize(keep_readonly=True)
    if "id" not in found:
        raise StrangerError(200)
    return found


def _as_azure(error: Exception) -> Exception:
    """The errors of requests, which the question where to log in may end with, as the SDK would raise them."""
    if isinstance(error, requests.Timeout):
        return TimeoutError()
    if isinstance(error, requests.ConnectionError) and "Remote" not in str(error):
        return azure.ServiceRequestError(str(error))
    return error
