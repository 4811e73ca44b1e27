"""The handler objects in use, one for each connection, with the limits on its calls."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from occopus_core.api.config import ConfigManager
from occopus_core.api.errors import AuthError
from occopus_core.api.health import HealthChecker
from occopus_core.api.resource import Connection, ResourceHandler
from occopus_core.api.ssh import HostKeys, MemoryHostKeys
from occopus_core.credentials import Credentials, Section
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.kernel.call_limits import CallLimits
from occopus_core.engine.kernel.call_log import logging_calls
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.guard import guarded, guarding
from occopus_core.engine.kernel.jobs import Jobs
from occopus_core.engine.kernel.loop import Loop
from occopus_core.engine.kernel.open_connection import ConnectionKey, OpenConnection, connection_key
from occopus_core.engine.kernel.stand_in import made_or_stand_in, with_sound_attributes
from occopus_core.redaction import Redactor
from occopus_core.registry import PluginError, Registry
from occopus_core.store.records import label

L = TypeVar("L", bound=OpenConnection[Any])


class Connections:
    """Opens each connection once, whichever thread asks for it first. Thread-safe."""

    def __init__(
        self,
        registry: Registry,
        credentials: Credentials,
        loop: Loop,
        workers: int,
        host_keys: HostKeys | None = None,
    ) -> None:
        """Without `host_keys`, pinned host keys are kept in memory only."""
        self._registry = registry
        self._credentials = credentials
        self._loop = loop
        self._workers = workers
        self.redact = Redactor(credentials.secrets())
        """Takes the secrets of the credentials out of a text."""
        loop.redact = self.redact
        self.host_keys: HostKeys = host_keys or MemoryHostKeys()
        """The pinned host keys of instances."""
        self.renewals = 0
        """How often new credentials have come into use."""
        self._lock = threading.Lock()
        self._resources: dict[ConnectionKey, OpenConnection[ResourceHandler]] = {}
        self._configs: dict[ConnectionKey, ManagerConnection] = {}
        self._checkers: dict[str, HealthChecker] = {}

    def settings(self, implementation: Implementation, render: Callable[[Any], Any]) -> str:
        """The rendered connection settings of an implementation, as canonical JSON, which the store keeps."""
        keys = self._registry.resource(implementation.resource["type"]).connection_keys
        return _settings(implementation.resource, keys, render)

    def resource(self, implementation: Implementation, settings: str) -> OpenConnection[ResourceHandler]:
        """The connection to the provider of an instance. Raises `PluginError`, `DescriptionError`.

        If the handler's constructor fails, so does each call on the connection, with its reason.
        """
        section = {**implementation.resource, **json.loads(settings)}
        auth = self._credentials.find("resource", section)
        key = connection_key(section["type"], settings, auth)
        with self._lock:
            if key not in self._resources:
                plugin = self._registry.resource(section["type"])
                connection = self._connection(section, settings, auth)
                limit = min(self._workers, plugin.max_concurrency)
                name = label(section["type"], section)
                who = functools.partial(self._registry.named, "resource", section["type"], name)
                maker = with_sound_attributes(plugin, who)
                made = guarding(
                    logging_calls(maker, name, self.redact),
                    who,
                    self.redact,
                    lambda: self._credentials.origin("resource", section),
                )

                def make(connection: Connection) -> ResourceHandler:
                    return made_or_stand_in(lambda: made(connection), plugin, who, self.redact)

                self._resources[key] = OpenConnection(make, section, connection, CallLimits(self._loop, limit))
            return self._resources[key]

    def check_resource_auth(self, implementation: Implementation, settings: str) -> None:
        """Raises `AuthError` for an entry of the credentials file that cannot work. No I/O."""
        section = {**implementation.resource, **json.loads(settings)}
        auth = self._credentials.find("resource", section)
        fault = ""
        with contextlib.suppress(PluginError):  # an import warns of it
            fault = self._registry.auth_fault(section["type"], auth) if auth else ""
        if fault:
            raise AuthError(f"{fault}; {self._credentials.origin('resource', section)}")

    def config(self, section: Mapping[str, Any]) -> ManagerConnection:
        """The configuration manager of a rendered `config_management` section.

        Raises `PluginError`, `DescriptionError`. If its constructor fails, so does each call, with its reason.
        """
        plugin = self._registry.config(section["type"])
        settings = _settings(section, plugin.connection_keys, lambda value: value)
        auth = self._credentials.find("config_management", section)
        key = connection_key(section["type"], settings, auth)
        with self._lock:
            if key not in self._configs:
                connection = self._connection(section, settings, auth)
                limit = min(self._workers, plugin.max_concurrency)
                limits, jobs = CallLimits(self._loop, limit), Jobs(plugin.max_jobs)
                name = label(section["type"], section)
                who = functools.partial(self._registry.named, "config", section["type"], name)
                made = logging_calls(with_sound_attributes(plugin, who), name, self.redact)

                def make(connection: Connection) -> ConfigManager:
                    return made_or_stand_in(lambda: made(connection), plugin, who, self.redact)

                self._configs[key] = ManagerConnection(make, section, connection, limits, jobs, name, who, self.redact)
            return self._configs[key]

    def _connection(self, section: Mapping[str, Any], settings: str, auth: Mapping[str, str]) -> Connection:
        return Connection(section["type"], json.loads(settings), auth, host_keys=self.host_keys)

    def renew(self) -> None:
        """Use the present contents of the credentials file. Called by the thread of the loop."""
        credentials = self._credentials.renewed()
        if credentials is self._credentials:
            return
        with self._lock:
            self.renewals += 1
            self._credentials = credentials
            self._resources = self._renewed("resource", self._resources)
            self._configs = self._renewed("config_management", self._configs)

    def _renewed(self, kind: Section, links: Mapping[ConnectionKey, L]) -> dict[ConnectionKey, L]:
        for link in links.values():
            # Several entries apply, or the plugin refuses them: the next use of the connection reports it.
            with contextlib.suppress(Exception):
                link.renew(self._credentials.find(kind, link.section))
        return {link.key: link for link in links.values()}

    def manager_settings(self, section: Mapping[str, Any]) -> str:
        """The settings of the connection of a rendered `config_management` section, as canonical JSON."""
        return _settings(section, self._registry.config(section["type"]).connection_keys, lambda value: value)

    def check_auth(self, key: str, value: Any) -> Mapping[str, str]:
        """The credentials for a key of `health_check` with its rendered value; empty where there are none.

        Raises `DescriptionError` where several entries apply.
        """
        return self._credentials.find("health_check", {**(value if isinstance(value, Mapping) else {}), "type": key})

    def checker(self, key: str) -> HealthChecker:
        """The checker for a key of `health_check`. If its constructor fails, so does each call.

        Raises `PluginError`.
        """
        if key not in self._checkers:
            plugin = self._registry.health(key)
            who = functools.partial(self._registry.named, "health", key)

            def make() -> HealthChecker:
                return guarded(plugin(), who, self.redact)

            self._checkers[key] = made_or_stand_in(make, plugin, who, self.redact)
        return self._checkers[key]


def _settings(section: Mapping[str, Any], keys: tuple[str, ...], render: Callable[[Any], Any]) -> str:
    return json.dumps({key: render(section[key]) for key in keys if key in section}, sort_keys=True)
