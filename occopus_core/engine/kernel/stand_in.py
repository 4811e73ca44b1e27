"""Makes plugin objects; one that cannot be made has a stand-in whose calls fail with the reason.

A constructor runs in a thread of its own: one that does not return holds up the calls of its own connection alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from occopus_core.api.declared import declared_names, fault_of_declared
from occopus_core.api.errors import PermanentError, ProviderError
from occopus_core.engine.kernel.error_text import log_unexpected
from occopus_core.engine.kernel.guard import is_of_plugin
from occopus_core.error_place import breach_text, described, place_of
from occopus_core.plugin_thread import PluginThread
from occopus_core.sound_errors import sound

P = TypeVar("P")

SOON_SECONDS = 1.0
"""Seconds for which the thread of the loop waits for a constructor, which must not do I/O."""


def made_or_stand_in(
    make: Callable[[], P], plugin: type, who: Callable[[], str], redact: Callable[[str], str] = str
) -> P:
    """What `make` returns. Where it raises or takes long, an object in its place, whose calls wait for it or try again.

    These calls raise a `ProviderError` where it fails again. `plugin` is the class, whose attributes the object shows.
    `who` returns the name of the plugin in messages, such as ``the resource handler 'x'``. `redact` takes secrets out
    of what is logged.
    """
    stand_in = _StandIn(lambda: made(make, who(), redact), plugin, who)
    stand_in.making.join(SOON_SECONDS)
    ready: bool = not (stand_in.making.is_alive() or stand_in.making.has_failed)
    return cast("P", stand_in.making.result() if ready else stand_in)


def with_sound_attributes(plugin: type[P], who: Callable[[], str]) -> Callable[..., P]:
    """The class as a maker of objects that raises `PermanentError` for one whose declared attributes are wrong.

    The class itself was checked when it was loaded; an object may have others, or properties that raise.
    """

    def make(*arguments: object) -> P:
        found = plugin(*arguments)
        for name in declared_names(plugin):
            try:
                value = getattr(found, name)
            except BaseException as error:
                if not is_of_plugin(error):
                    raise
                raise PermanentError(breach_text(who(), f"reading its {name} raised {described(error)}")) from None
            if fault := fault_of_declared(plugin, name, value):
                raise PermanentError(breach_text(who(), f"its {fault}{place_of(plugin)}"))
        return found

    return make


def made(make: Callable[[], P], who: str, redact: Callable[[str], str]) -> P:
    """What `make`, which calls the constructor of the plugin `who`, returns. Raises `ProviderError`."""
    try:
        return make()
    except ProviderError as error:
        raise sound_set_up_error(who, error, redact) from None
    except BaseException as error:  # whatever the constructor raises
        if not is_of_plugin(error):
            raise
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
    def __init__(self, make: Callable[[], Any], plugin: type, who: Callable[[], str]) -> None:
        """`make` raises `ProviderError`s alone."""
        self._make, self._plugin, self.who = make, plugin, who
        self._begin()

    def _begin(self) -> None:
        making = PluginThread("occopus-constructor", self._make)
        making.start()  # other threads may wait for it as soon as they can see it
        self.making = making

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._plugin, name)
        if not inspect.isfunction(found):
            return found

        def call(*values: Any, **named: Any) -> Any:
            return getattr(self.made(), name)(*values, **named)

        return call

    def made(self) -> Any:
        """The plugin object. Raises `ProviderError`."""
        if self.making.has_failed:
            self._begin()
        return self.making.offline_result(self._plugin, self.who(), "its constructor")
