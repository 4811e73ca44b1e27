"""Calls to the services of one OpenStack cloud. One call is one request, never repeated."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

import keystoneauth1.session
import requests
from keystoneauth1 import exceptions
from keystoneauth1.adapter import Adapter

from occopus_core.api import Connection, NotFoundError, ProviderError
from occopus_resource_nova.connect import session
from occopus_resource_nova.errors import provider_error

Service = Literal["compute", "network", "image", "block-storage"]
Thing = dict[str, Any]

_VERSIONS: Mapping[Service, str] = {"compute": "2.1", "network": "2", "image": "2", "block-storage": "3"}
_MICROVERSIONS: Mapping[Service, str] = {"compute": "2.52"}
"""The oldest with which a server has its tags from the call that creates it."""

_NOT_FOUND = 404


class Cloud:
    """The account of one connection. Thread-safe; every request ends within the time limit of the connection."""

    def __init__(self, connection: Connection) -> None:
        self._where = f"OpenStack at {connection.settings.get('endpoint')}"
        self._timeout = connection.call_timeout
        self._connection = connection
        self._lock = threading.Lock()
        self._made: keystoneauth1.session.Session | None = None

    def _session(self) -> keystoneauth1.session.Session:
        """Made once; it holds the token of the account, and gets a new one when that expires."""
        with self._lock:
            if self._made is None:
                self._made = session(self._connection)
            return self._made

    def _adapter(self, service: Service) -> Adapter:
        region = self._connection.settings.get("region_name")
        return Adapter(
            self._session(),
            service_type=service,
            interface="public",
            region_name=str(region) if region else None,
            version=_VERSIONS[service],
            default_microversion=_MICROVERSIONS.get(service),
        )

    def project(self) -> str:
        """The id of the project that is worked in. Raises `ProviderError`."""
        try:
            return self._session().get_project_id() or ""
        except ProviderError:  # the session could not be made
            raise
        except Exception as error:
            raise self._told(error) from error

    def has(self, service: Service) -> bool:
        """Whether the catalog has the service. Raises `ProviderError`."""
        try:
            return self._adapter(service).get_endpoint() is not None
        except exceptions.EndpointNotFound:
            return False
        except ProviderError:  # the session could not be made
            raise
        except Exception as error:
            raise self._told(error) from error

    def get(self, service: Service, path: str, query: Mapping[str, Any] | None = None, key: str = "") -> Any:
        """The answer to GET. Raises `ProviderError`; `NotFoundError` for 404 where a `key` is given."""
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
        """The answer to a request that changes something. Raises `ProviderError`."""
        return self._call(service, method, path, key, json=body, headers=dict(headers or {}))

    def delete(self, service: Service, path: str) -> None:
        """Ask for a deletion; what is absent is a success. Raises `ProviderError`."""
        try:
            self._request(service, "DELETE", path)
        except exceptions.NotFound:
            return
        except ProviderError:  # the session could not be made
            raise
        except Exception as error:
            raise self._told(error) from error

    def pages(self, service: Service, path: str, name: str, query: Mapping[str, Any]) -> Iterator[Thing]:
        """All things of a list, page after page. Raises `ProviderError`, also while being iterated."""
        asked = dict(query)
        while True:
            answer = self.get(service, path, asked)
            things = self._field(answer, name)
            yield from things
            if not things or not answer.get(f"{name}_links"):
                return
            asked["marker"] = things[-1]["id"]

    def find(self, service: Service, path: str, name: str, wanted: str, key: str) -> Thing:
        """The one thing with this id or name. Raises `NotFoundError` naming the `key` of the description."""
        try:
            found: Thing = self._unwrapped(self.get(service, f"{path}/{quote(wanted, safe='')}", key=key), name)
        except NotFoundError:
            same = [thing for thing in self._named(service, path, name, wanted) if thing["name"] == wanted]
            if len(same) != 1:
                many = f"{len(same)} have this name: give the id" if same else "there is none"
                raise NotFoundError(f"{self._where}: resource.{key}: '{wanted}': {many}") from None
            return same[0]
        return found

    def _named(self, service: Service, path: str, name: str, wanted: str) -> Iterator[Thing]:
        # Flavors cannot be asked for by name.
        query = {} if service == "compute" else {"name": wanted}
        listed = f"{path}/detail" if service == "compute" else path
        return self.pages(service, listed, f"{name}s", query)

    def _unwrapped(self, answer: Any, name: str) -> Thing:
        """Glance alone does not wrap what it answers."""
        thing = answer.get(name, answer) if isinstance(answer, dict) else None
        if not isinstance(thing, dict):
            raise self._told(ValueError(name))
        return thing

    def _field(self, answer: Any, name: str) -> list[Thing]:
        things = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(things, list):
            raise self._told(ValueError(name))
        return things

    def _call(self, service: Service, method: str, path: str, key: str, **arguments: Any) -> Any:
        try:
            return self._request(service, method, path, **arguments).json()
        except ProviderError:  # the session could not be made
            raise
        except Exception as error:
            raise self._told(error, key) from error

    def _request(self, service: Service, method: str, path: str, **arguments: Any) -> requests.Response:
        return self._adapter(service).request(path, method, connect_retries=0, status_code_retries=0, **arguments)

    def _told(self, error: Exception, key: str = "") -> ProviderError:
        return provider_error(error, self._where, self._timeout, key)
