"""One open connection: a plugin object with the limits on its calls."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from occopus_core.api.errors import PermanentError
from occopus_core.api.resource import Connection
from occopus_core.engine.kernel.call_limits import CallLimits
from occopus_core.engine.kernel.guard import breach

P = TypeVar("P")

ConnectionKey = tuple[str, str, tuple[tuple[str, str], ...]]
"""Type, settings and credentials of a connection."""


class OpenConnection(Generic[P]):
    """One connection in use: the plugin object and the limits on its calls."""

    def __init__(
        self, make: Callable[[Connection], P], section: Mapping[str, Any], connection: Connection, limits: CallLimits
    ) -> None:
        self._make = make
        self.section = section
        """The section of the description, by which the credentials are found."""
        self._connection = connection
        self.plugin = make(connection)
        self.limits = limits

    @property
    def key(self) -> ConnectionKey:
        """The key that identifies this connection."""
        return connection_key(
            self._connection.type,
            json.dumps(self._connection.settings, sort_keys=True, default=dict),
            self._connection.auth,
        )

    def silence(self, label: str) -> str:
        """What is said where it does not answer; `label` is its name. A call that lasts too long is a breach."""
        hanging = self.hanging()
        return f"{label} does not answer" if hanging is None else str(hanging)

    def hanging(self) -> PermanentError | None:
        """The error of the oldest call under way; None if it has not lasted too long."""
        what, seconds = self.limits.longest()
        if seconds <= self._connection.call_timeout:
            return None
        return self.breach(f"{what}() has not returned for {seconds:.0f} s")

    def breach(self, how: str) -> PermanentError:
        """The error for a plugin that breaks its contract in this way."""
        return breach(self.plugin, how)

    def renew(self, auth: Mapping[str, str]) -> None:
        """Use these credentials for new calls; calls under way keep the old ones."""
        if auth != self._connection.auth:
            connection = dataclasses.replace(self._connection, auth=auth)
            self.plugin, self._connection = self._make(connection), connection
            self.limits.reopen()


def connection_key(type: str, settings: str, auth: Mapping[str, str]) -> ConnectionKey:
    """The key that identifies a connection; `settings` is canonical JSON."""
    return type, settings, tuple(sorted(auth.items()))
