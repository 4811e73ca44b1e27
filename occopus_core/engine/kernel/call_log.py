"""A log line for each call of a plugin that may reach a provider or a configuration manager."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sized
from typing import Any, TypeVar, cast

from occopus_core.api.config import ConfigNode
from occopus_core.api.errors import ProviderError
from occopus_core.api.resource import Connection, CreateRequest
from occopus_core.error_place import described
from occopus_core.sound_errors import sound

P = TypeVar("P")

LOGGER = "occopus.calls"
"""Calls are logged where this logger has the level DEBUG when the connection is made."""
_METHODS = frozenset(
    {
        *("ensure", "create", "describe", "list_owned", "delete", "stop", "mark", "logs", "cost"),
        *("register", "configure", "status", "cancel", "leave", "forget", "forget_infrastructure", "list_registered"),
    }
)
_log = logging.getLogger(LOGGER)


def logging_calls(
    make: Callable[[Connection], P], name: str, redact: Callable[[str], str]
) -> Callable[[Connection], P]:
    """The same maker of a plugin; where calls are logged, each call of what it makes is a line.

    `redact` takes secrets out of the line. Arguments are counted or named, never shown: they may be secret.
    """
    if not _log.isEnabledFor(logging.DEBUG):
        return make
    return lambda connection: cast("P", _Logged(make(connection), name, redact))


class _Logged:
    """A plugin whose calls are logged."""

    def __init__(self, plugin: object, name: str, redact: Callable[[str], str]) -> None:
        self._plugin, self._name, self._redact = plugin, name, redact

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._plugin, name)
        if name not in _METHODS:
            return found

        def call(*values: Any, **named: Any) -> Any:
            what = " ".join([name, *filter(None, map(_counted, values))])
            began = time.monotonic()
            try:
                answer = found(*values, **named)
            except Exception as error:
                why = str(sound(error, self._redact, str)) if isinstance(error, ProviderError) else described(error)
                self._say(what, began, f", failed: {' '.join(why.split())}")
                raise
            self._say(what, began, "")
            return answer

        return call

    def _say(self, what: str, began: float, end: str) -> None:
        line = f"{self._name}: {what} took {time.monotonic() - began:.2f} s{end}"
        _log.debug("%s", self._redact(line))


def _counted(value: object) -> str:
    """What may be said of an argument."""
    if isinstance(value, CreateRequest):
        return value.token
    if isinstance(value, ConfigNode):
        return value.node_name
    if isinstance(value, Sized) and not isinstance(value, str | bytes):
        return f"({len(value)})"
    return ""
