"""Calls to the services of one OpenStack cloud. One call is one request without retries."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import requests
from keystoneauth1 import exceptions

from occopus_core.api import (
    AuthError,
    Connection,
    NotFoundError,
    PermanentError,
    ProviderError,
    TransientError,
    within,
)
from occopus_resource_nova.connect import Account, account
from occopus_resource_nova.errors import provider_error

Service = Literal["compute", "network", "image", "block-storage"]
Thing = dict[str, Any]
T = TypeVar("T")

_VERSIONS: Mapping[Service, str] = {"compute": "v2.1", "network": "v2.0", "image": "v2", "block-storage": "v3"}
_MICROVERSIONS: Mapping[Service, str] = {"compute": "2.52", "block-storage": "3.5"}
"""The oldest versions in which one call creates a server with its tags, and Cinder reports why a volume failed."""

_VERSION = re.compile(r"/v\d[\d.]*(?=/|$)")


def url_part(text: str, key: str) -> str:
    """A name or an id as a part of a URL. Raises `PermanentError` for one that would change the path."""
    if text in (".", ".."):
        raise PermanentError(f"resource.{key}: '{text}' is not a name that a URL can hold", at=f"resource.{key}")
    return quote(text, safe="")


class Cloud:
    """The account of one connection. Thread-safe; every request ends within the time limit of the connection."""

    def __init__(self, connection: Connection) -> None:
        self._where = f"OpenStack at {connection.settings.get('endpoint')}"
        self._timeout = connection.call_timeout
        self._connection = connection
        self._lock = threading.Lock()
        self._made: Account | None = None
        self._met = False  # whether it has ever issued a token, as an OpenStack does

    def _account(self) -> Account:
        """Made once; its session holds a token, and gets a new one when that expires."""
        with self._lock:
            if self._made is None:
                self._made = account(self._connection)
            return self._made

    def project(self) -> str:
        """The id of the project in use. Raises `ProviderError`."""
        return self._asked(self._account().session.get_project_id) or ""

    def has(self, service: Service) -> bool:
        """Whether the catalog has the service. Raises `ProviderError`."""
        return self._asked(lambda: self._listed(service)) is not None

    def _listed(self, service: Service) -> str | None:
        """The endpoint of a service in the catalog; None without one."""
        by = self._account()
        try:
            found: str | None = by.session.get_endpoint(
                service_type=service, interface=by.interface, region_name=by.region, skip_discovery=True
            )
        except exceptions.CatalogException:
            return None
        return found

    def _endpoint(self, service: Service) -> str:
        """The URL of a service, with the only version of it that is used here."""
        listed = self._listed(service)
        if listed is None:
            region = self._account().region
            there = f"in region '{region}': see resource.region_name" if region else "in its catalog"
            raise PermanentError(f"{self._where}: there is no {service} service {there}", unreached=True)
        return versioned(listed, _VERSIONS[service])

    def get(self, service: Service, path: str, query: Mapping[str, Any] | None = None, key: str = "") -> Any:
        """Make a GET request and return its answer.

        Raises `ProviderError`; `NotFoundError` for 404 if there is a `key`.
        """
        return self._call(service, "GET", path, key, params=query)

    def send(
        self,
        service: Service,
        method: Literal["POST", "PUT"],
        path: str,
        body: Mapping[str, Any],
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Make a changing request and return its answer. Raises `ProviderError`."""
        return self._call(service, method, path, key, json=body, headers=dict(headers or {}))

    def delete(self, service: Service, path: str) -> None:
        """Request a deletion; an absent resource is a success. Raises `ProviderError`."""

        def ask() -> None:
            with contextlib.suppress(exceptions.NotFound):
                self._request(service, "DELETE", path)

        self._asked(ask)

    def pages(self, service: Service, path: str, name: str, query: Mapping[str, Any]) -> Iterator[Thing]:
        """Every entry of a list, once, page by page. Raises `ProviderError`, also while being iterated."""
        seen: set[str] = set()
        asked = dict(query)
        while True:
            answer = self._page(service, path, asked)
            things = self._field(answer, name)
            new = [thing for thing in things if thing["id"] not in seen]
            yield from new
            if not things or not answer.get(f"{name}_links"):
                return
            if not new:
                raise TransientError(f"{self._where}: the pages of its {path} have no end")
            seen.update(thing["id"] for thing in new)
            asked["marker"] = things[-1]["id"]

    def _page(self, service: Service, path: str, asked: Mapping[str, Any]) -> Any:
        try:
            return self.get(service, path, asked)
        except PermanentError as error:
            if "marker" not in asked:
                raise
            # The last entry of the previous page was deleted: the list can be started again.
            raise TransientError(f"{error.message} (on a later page)", request_id=error.request_id) from error

    def find(self, service: Service, path: str, name: str, wanted: str, key: str) -> Thing:
        """The only resource with this id or name. Raises `NotFoundError` naming the `key` of the description."""
        try:
            found: Thing = self.unwrapped(self.get(service, f"{path}/{url_part(wanted, key)}", key=key), name)
        except NotFoundError:
            same = [thing for thing in self._named(service, path, name, wanted) if thing["name"] == wanted]
            if len(same) != 1:
                many = f"{len(same)} have this name: give the id" if same else "there is none"
                raise NotFoundError(f"{self._where}: resource.{key}: '{wanted}': {many}") from None
            return same[0]
        return found

    def _named(self, service: Service, path: str, name: str, wanted: str) -> Iterator[Thing]:
        # Flavors cannot be filtered by name.
        query = {} if service == "compute" else {"name": wanted}
        listed = f"{path}/detail" if service == "compute" else path
        return self.pages(service, listed, f"{name}s", query)

    def unwrapped(self, answer: Any, name: str) -> Thing:
        """The only object in an answer, which only Glance does not wrap. Raises `ProviderError` if it is missing."""
        thing = answer.get(name, answer) if isinstance(answer, dict) else None
        if not isinstance(thing, dict) or "id" not in thing:
            raise self._mapped(ValueError(name))
        return thing

    def _field(self, answer: Any, name: str) -> list[Thing]:
        things = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(things, list) or not all(isinstance(thing, dict) and "id" in thing for thing in things):
            raise self._mapped(ValueError(name))
        return things

    def _call(self, service: Service, method: str, path: str, key: str, **arguments: Any) -> Any:
        return self._asked(lambda: self._request(service, method, path, **arguments).json(), key)

    def _request(self, service: Service, method: str, path: str, **arguments: Any) -> requests.Response:
        endpoint = self._endpoint(service)  # from the catalog, which came with a token
        self._met = True
        return self._account().session.request(
            f"{endpoint}{path}",
            method,
            microversion=_MICROVERSIONS.get(service),
            microversion_service_type=service,
            connect_retries=0,
            status_code_retries=0,
            log=False,  # user data contains secrets
            **arguments,
        )

    def _asked(self, call: Callable[[], T], key: str = "") -> T:
        """Make a call with a time limit, and map its exceptions to errors of the contract."""
        try:
            return within(self._timeout, call)
        except ProviderError:
            raise
        except Exception as error:  # the libraries do not document all exceptions that they raise
            raise self._mapped(error, key) from error

    def _mapped(self, error: Exception, key: str = "") -> ProviderError:
        mapped = provider_error(error, self._where, self._timeout, key, met=self._met)
        if isinstance(mapped, AuthError):
            with self._lock:
                self._made = None  # clouds.yaml may have been changed by the next call
        return mapped


def versioned(endpoint: str, version: str) -> str:
    """The URL of one version of a service, from what the catalog says: with a version, with another, or without.

    >>> versioned("https://example.org/volume/v2/a-project", "v3")
    'https://example.org/volume/v3/a-project'
    """
    parts = urlsplit(endpoint)
    path = parts.path.rstrip("/")
    path = _VERSION.sub(f"/{version}", path) if _VERSION.search(path) else f"{path}/{version}"
    return f"{parts.scheme}://{parts.netloc}{path}"
