"""The handler objects in use, one for each connection, with the limits on what each is asked."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from occopus_core.api.config import ConfigManager
from occopus_core.api.health import HealthChecker
from occopus_core.api.resource import Connection, ResourceHandler
from occopus_core.credentials import Credentials, Redactor, Section
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.kernel.gate import Gate
from occopus_core.engine.kernel.loop import Loop
from occopus_core.registry import Registry

P = TypeVar("P")

_Key = tuple[str, str, tuple[tuple[str, str], ...]]
"""Type, settings and credentials of a connection."""


class Link(Generic[P]):
    """One connection in use: the plugin's object and the gate to it."""

    def __init__(
        self, make: Callable[[Connection], P], section: Mapping[str, Any], connection: Connection, gate: Gate
    ) -> None:
        self._make = make
        self.section = section
        """What the credentials are found by."""
        self._connection = connection
        self.plugin = make(connection)
        self.gate = gate

    @property
    def key(self) -> _Key:
        """What tells it from others."""
        return _key(self._connection.type, json.dumps(self._connection.settings, sort_keys=True), self._connection.auth)

    def renew(self, auth: Mapping[str, str]) -> None:
        """Use these credentials from now on; what is under way goes on with the former ones."""
        if auth != self._connection.auth:
            connection = dataclasses.replace(self._connection, auth=auth)
            self.plugin, self._connection = self._make(connection), connection
            self.gate.reopen()


class Connections:
    """Makes each connection once, whichever thread asks first."""

    def __init__(self, registry: Registry, credentials: Credentials, loop: Loop, workers: int) -> None:
        self._registry = registry
        self._credentials = credentials
        self._loop = loop
        self._workers = workers
        self.redact = Redactor(credentials.secrets())
        """Takes the secrets of the credentials out of a text."""
        self._lock = threading.Lock()
        self._resources: dict[_Key, Link[ResourceHandler]] = {}
        self._configs: dict[_Key, Link[ConfigManager]] = {}
        self._checkers: dict[str, HealthChecker] = {}

    def settings(self, implementation: Implementation, render: Callable[[Any], Any]) -> str:
        """The rendered settings of an implementation's connection, as canonical JSON: what the store keeps."""
        keys = self._registry.resource(implementation.resource["type"]).connection_keys
        return _settings(implementation.resource, keys, render)

    def resource(self, implementation: Implementation, settings: str) -> Link[ResourceHandler]:
        """The connection an instance is made on."""
        section = {**implementation.resource, **json.loads(settings)}
        auth = self._credentials.find("resource", section)
        key = _key(section["type"], settings, auth)
        with self._lock:
            if key not in self._resources:
                plugin = self._registry.resource(section["type"])
                connection = Connection(section["type"], json.loads(settings), auth)
                limit = min(self._workers, plugin.max_concurrency)
                self._resources[key] = Link(plugin, section, connection, Gate(self._loop, limit))
            return self._resources[key]

    def config(self, section: Mapping[str, Any]) -> Link[ConfigManager]:
        """The configuration manager of a rendered `config_management` section."""
        plugin = self._registry.config(section["type"])
        settings = _settings(section, plugin.connection_keys, lambda value: value)
        auth = self._credentials.find("config_management", section)
        key = _key(section["type"], settings, auth)
        with self._lock:
            if key not in self._configs:
                connection = Connection(section["type"], json.loads(settings), auth)
                limit = min(self._workers, plugin.max_concurrency)
                self._configs[key] = Link(plugin, section, connection, Gate(self._loop, limit))
            return self._configs[key]

    def renew(self) -> None:
        """Use what is in the credentials file by now. Called by the thread of the loop."""
        credentials = self._credentials.renewed()
        if credentials is self._credentials:
            return
        with self._lock:
            self._credentials = credentials
            self._resources = self._renewed("resource", self._resources)
            self._configs = self._renewed("config_management", self._configs)

    def _renewed(self, kind: Section, links: Mapping[_Key, Link[P]]) -> dict[_Key, Link[P]]:
        for link in links.values():
            # Several entries apply, or the plugin does not take them: whoever asks for it anew is told.
            with contextlib.suppress(Exception):
                link.renew(self._credentials.find(kind, link.section))
        return {link.key: link for link in links.values()}

    def checker(self, key: str) -> HealthChecker:
        """The checker for a key of `health_check`."""
        if key not in self._checkers:
            self._checkers[key] = self._registry.health(key)()
        return self._checkers[key]


def _key(type: str, settings: str, auth: Mapping[str, str]) -> _Key:
    return type, settings, tuple(sorted(auth.items()))


def _settings(section: Mapping[str, Any], keys: tuple[str, ...], render: Callable[[Any], Any]) -> str:
    return json.dumps({key: render(section[key]) for key in keys if key in section}, sort_keys=True)
