"""The handler objects in use, one for each connection, with the limits on what each is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from occopus_core.api.config import ConfigManager
from occopus_core.api.health import HealthChecker
from occopus_core.api.resource import Connection, ResourceHandler
from occopus_core.credentials import Credentials, Redactor
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.limits import Gate
from occopus_core.engine.loop import Loop
from occopus_core.registry import Registry

P = TypeVar("P")

CONFIG_CONCURRENCY = 16
"""The most calls under way at once to one configuration manager."""


class Link(Generic[P]):
    """One connection in use: the plugin's object and the gate to it."""

    def __init__(self, plugin: P, gate: Gate) -> None:
        self.plugin = plugin
        self.gate = gate


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
        self._resources: dict[object, Link[ResourceHandler]] = {}
        self._configs: dict[object, Link[ConfigManager]] = {}
        self._checkers: dict[str, HealthChecker] = {}

    def settings(self, implementation: Implementation, render: Callable[[Any], Any]) -> str:
        """The rendered settings of an implementation's connection, as canonical JSON: what the store keeps."""
        keys = self._registry.resource(implementation.resource["type"]).connection_keys
        return _settings(implementation.resource, keys, render)

    def resource(self, implementation: Implementation, settings: str) -> Link[ResourceHandler]:
        """The connection an instance is made on."""
        section = {**implementation.resource, **json.loads(settings)}
        auth = self._credentials.find("resource", section)
        key = (section["type"], settings, tuple(sorted(auth.items())))
        with self._lock:
            if key not in self._resources:
                plugin = self._registry.resource(section["type"])
                connection = Connection(section["type"], json.loads(settings), auth)
                limit = min(self._workers, plugin.max_concurrency)
                self._resources[key] = Link(plugin(connection), Gate(self._loop, limit))
            return self._resources[key]

    def config(self, section: Mapping[str, Any]) -> Link[ConfigManager]:
        """The configuration manager of a rendered `config_management` section."""
        plugin = self._registry.config(section["type"])
        settings = _settings(section, plugin.connection_keys, lambda value: value)
        auth = self._credentials.find("config_management", section)
        key = (section["type"], settings, tuple(sorted(auth.items())))
        with self._lock:
            if key not in self._configs:
                connection = Connection(section["type"], json.loads(settings), auth)
                limit = min(self._workers, CONFIG_CONCURRENCY)
                self._configs[key] = Link(plugin(connection), Gate(self._loop, limit))
            return self._configs[key]

    def checker(self, key: str) -> HealthChecker:
        """The checker for a key of `health_check`."""
        if key not in self._checkers:
            self._checkers[key] = self._registry.health(key)()
        return self._checkers[key]


def _settings(section: Mapping[str, Any], keys: tuple[str, ...], render: Callable[[Any], Any]) -> str:
    return json.dumps({key: render(section[key]) for key in keys if key in section}, sort_keys=True)
