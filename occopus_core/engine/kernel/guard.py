"""Guards the calls of a plugin object: what breaks its contract is an error that names the plugin and the place."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from occopus_core.api.errors import AuthError, PermanentError, ProviderError
from occopus_core.api.health import HealthChecker, Probe
from occopus_core.api.resource import Connection, CreateRequest
from occopus_core.engine.kernel.error_text import log_unexpected
from occopus_core.error_place import breach_text, described, place, place_of_method
from occopus_core.named_secrets import hiding
from occopus_core.plugin_thread import offline
from occopus_core.sound_errors import sound

P = TypeVar("P")

_CALLS = frozenset(
    {"check", "check_host", "ensure", "create", "describe", "delete", "stop", "mark", "logs", "logs_since", "cost"}
)


class BreachError(PermanentError):
    """A plugin has broken its contract."""


def is_of_plugin(error: BaseException) -> bool:
    """True for an exception that a call of a plugin has raised; False for one that ends this process.

    Signals interrupt the main thread alone: in the threads of the pool even a `KeyboardInterrupt` is the plugin's.
    """
    return isinstance(error, Exception | SystemExit) or threading.current_thread() is not threading.main_thread()


def guarding(
    make: Callable[[Connection], P],
    who: Callable[[], str],
    redact: Callable[[str], str],
    origin: Callable[[], str] = str,
) -> Callable[[Connection], P]:
    """The same maker of a handler, whose calls raise nothing but `ProviderError`; see `guarded`."""
    return lambda connection: guarded(make(connection), who, redact, origin)


def guarded(plugin: P, who: Callable[[], str], redact: Callable[[str], str], origin: Callable[[], str] = str) -> P:
    """The same plugin object, whose calls raise nothing but `ProviderError`.

    `who` returns the name of the plugin in messages. `redact` takes secrets out of what is logged. `origin` says where
    its credentials are from, for errors about them.
    """
    return cast("P", _Guarded(plugin, who, redact, origin))


def breach(plugin: object, how: str) -> BreachError:
    """The error for a plugin that breaks its contract in this way, such as ``create() raised KeyError: 'x'``."""
    who: Callable[[], str] = getattr(plugin, "who", lambda: "the plugin")
    return BreachError(breach_text(who(), how))


def wrong_answer(handler: object, what: str, how: str) -> BreachError:
    """The error for a wrong answer of a method, with its place; `how` is such as ``answered str, expected bool``."""
    return breach(handler, f"{what}() {how}{_place_of_method(handler, what)}")


def mapping_of(handler: object, what: str, answer: object) -> dict[Any, Any]:
    """The mapping that a method answered, as a `dict`. Raises `BreachError` if it is no mapping or cannot be read."""
    if not isinstance(answer, Mapping):
        raise wrong_answer(handler, what, f"answered {type(answer).__name__}, expected a mapping")
    try:
        return dict(answer)
    except (Exception, SystemExit) as error:
        where = place(error) or _place_of_method(handler, what)
        raise breach(handler, f"{what}() answered a mapping that raises {type(error).__name__}{where}") from error


def sound_answer(handler: object, what: str, error: ProviderError) -> ProviderError:
    """An error that a method has answered for an instance; see `sound`."""
    redact: Callable[[str], str] = getattr(handler, "redact", str)
    where = "" if place(error) else _place_of_method(handler, what)
    return sound(error, redact, lambda how: str(breach(handler, f"{what}() answered {how}{where}")))


def close_coroutine(answer: object) -> None:
    """Close an answer that is a coroutine, which breaks every contract: otherwise Python warns that it never ran."""
    if inspect.iscoroutine(answer):
        answer.close()


def _place_of_method(handler: object, what: str) -> str:
    return place_of_method(getattr(handler, "guarded", handler), what)


def _copied(value: Any) -> Any:
    """An argument of a call with mappings and lists of its own, since the plugin may change them."""
    if isinstance(value, CreateRequest):
        return dataclasses.replace(value, resource=copy.deepcopy(value.resource))
    if isinstance(value, Probe):
        return dataclasses.replace(value, value=copy.deepcopy(value.value), auth=dict(value.auth))
    if isinstance(value, Mapping):
        return copy.deepcopy(value)
    return list(map(_copied, value)) if isinstance(value, list | tuple) else value


def _sections_of(values: Iterable[object]) -> Iterator[object]:
    """The sections of descriptions, with values that may be secret, in the arguments of a call."""
    for value in values:
        if isinstance(value, CreateRequest):
            yield value.resource
        elif isinstance(value, Probe):
            yield value.value
        elif isinstance(value, list | tuple):
            yield from _sections_of(value)


class _Guarded:
    def __init__(
        self, plugin: object, who: Callable[[], str], redact: Callable[[str], str], origin: Callable[[], str]
    ) -> None:
        self.guarded, self.who, self.redact, self.origin = plugin, who, redact, origin

    def __getattr__(self, name: str) -> Any:
        if name not in _CALLS:
            try:
                return getattr(self.guarded, name)
            except BaseException as error:
                if isinstance(error, AttributeError) or not is_of_plugin(error):
                    raise
                raise breach(self, f"reading its {name} raised {described(error)}") from None

        # The method is read within the call, since reading it may raise, too.
        def call(*values: object, **named: object) -> Any:
            hide = hiding(*_sections_of(values))
            return self._call(name, lambda: getattr(self.guarded, name)(*map(_copied, values), **named), hide)

        if name != "check" or isinstance(self.guarded, HealthChecker):
            return call
        # It does no I/O, and what it is called for waits for it.
        kind, who = type(self.guarded), self.who
        return lambda *values, **named: offline(lambda: call(*values, **named), kind, who(), "check()")

    def list_owned(self, owner: object) -> list[Any]:
        """See `ResourceHandler.list_owned`; an error while the answer is iterated is one of the call."""
        plugin: Any = self.guarded

        def call() -> list[Any]:
            found: object = plugin.list_owned(owner)
            close_coroutine(found)
            if not isinstance(found, Iterable) or isinstance(found, str | bytes):
                raise wrong_answer(self, "list_owned", f"answered {type(found).__name__}, expected instances")
            return list(found)

        answered: list[Any] = self._call("list_owned", call)
        return answered

    def _call(self, name: str, call: Callable[[], Any], hide: Callable[[str], str] = str) -> Any:
        """`hide` takes the secrets of what the plugin is called for out of its errors."""

        def redact(text: str) -> str:
            return hide(self.redact(text))

        try:
            answer = call()
        except ProviderError as error:
            made = sound(error, redact, lambda how: str(breach(self, f"{name}() raised {how}")))
            origin = self.redact(self.origin()) if isinstance(made, AuthError) else ""
            if origin:
                made.message = f"{made.message}; {origin}"
            raise made from None
        except BaseException as error:  # whatever the plugin raises
            if not is_of_plugin(error):
                raise
            log_unexpected(error, redact)
            raise breach(self, f"{name}() raised {described(error)}") from error
        close_coroutine(answer)
        if answer is not None and self._answers_nothing(name):
            raise wrong_answer(self, name, f"answered {type(answer).__name__}, expected None")
        return answer

    def _answers_nothing(self, name: str) -> bool:
        return name in {"check_host", "mark"} or (name == "check" and not isinstance(self.guarded, HealthChecker))
