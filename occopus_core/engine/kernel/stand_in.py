"""Stands for a plugin object that cannot be made: its calls fail with the reason, and the core goes on with others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from occopus_core.api.errors import PermanentError, ProviderError
from occopus_core.engine.kernel.error_text import log_unexpected
from occopus_core.error_place import breach_text, described
from occopus_core.sound_errors import sound

P = TypeVar("P")


def made_or_stand_in(
    make: Callable[[], P], plugin: type, who: Callable[[], str], redact: Callable[[str], str] = str
) -> P:
    """What `make` returns. Where it raises, an object in its place whose calls try again, and raise a `ProviderError`.

    `plugin` is the class, whose attributes the object shows. `who` returns the name of the plugin in messages, such as
    ``the resource handler 'x'``. `redact` takes secrets out of what is logged.
    """
    try:
        return make()
    except (Exception, SystemExit):  # noqa: BLE001  # a constructor of a plugin may raise anything: each call reports it
        return cast("P", _StandIn(make, plugin, who, redact))


def made(make: Callable[[], P], who: str, redact: Callable[[str], str]) -> P:
    """What `make`, which calls the constructor of the plugin `who`, returns. Raises `ProviderError`."""
    try:
        return make()
    except ProviderError as error:
        raise sound_set_up_error(who, error, redact) from None
    except (Exception, SystemExit) as error:  # whatever the constructor raises
        log_unexpected(error, redact)
        raise set_up_error(who, error) from error


def cannot_be_made(plugin: object) -> bool:
    """True for the stand-in of a plugin object that still cannot be made."""
    if not isinstance(plugin, _StandIn):
        return False
    try:
        plugin.made()
    except ProviderError:
        return True
    return False


def set_up_error(name: str, error: BaseException) -> PermanentError:
    """The error for a plugin whose constructor raises: its type and place."""
    return PermanentError(f"{name} cannot be set up: {described(error)}")


def sound_set_up_error(name: str, error: ProviderError, redact: Callable[[str], str]) -> ProviderError:
    """A `ProviderError` of a constructor; see `sound`."""
    return sound(error, redact, lambda how: breach_text(name, f"its constructor raised {how}"))


class _StandIn:
    def __init__(
        self, make: Callable[[], Any], plugin: type, who: Callable[[], str], redact: Callable[[str], str]
    ) -> None:
        self._make, self._plugin, self.who, self._redact = make, plugin, who, redact

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._plugin, name)
        if not inspect.isfunction(found):
            return found

        def call(*values: Any, **named: Any) -> Any:
            return getattr(self.made(), name)(*values, **named)

        return call

    def made(self) -> Any:
        """The plugin object. Raises `ProviderError`."""
        return made(self._make, self.who(), self._redact)
