"""Makes the texts and `ProviderError`s of plugins safe to use.

A subclass of an error, or an attribute set later, may be wrong in any way.
"""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from occopus_core.api.errors import NO_REASON, PermanentError, ProviderError, ThrottledError
from occopus_core.error_place import place
from occopus_core.printable import one_line

T = TypeVar("T")

LONGEST_TEXT = 2000
"""The most characters of an error, and of another text of a plugin, that are kept."""


def sound(error: ProviderError, redact: Callable[[str], str], breach: Callable[[str], str]) -> ProviderError:
    """The error as one of the core's own classes, the nearest to its class, with valid attributes.

    Its text is one line of bounded length, without control characters and secrets. What is wrong with the error is part
    of it: `breach` makes that text of what follows the verb, such as ``MyError, whose at is int, expected a text``.
    """
    parts = _Parts(error)
    made = _made(error, parts, redact, breach)
    if isinstance(made, PermanentError):  # those in the `more` of the others are among them
        others = [_made(each, _Parts(each), redact, breach) for each in parts.more]
        made.more = tuple(each for each in others if isinstance(each, PermanentError))
    return made.with_traceback(error.__traceback__)


def sound_text(text: str, redact: Callable[[str], str] = str) -> str:
    """A text of a plugin, also of a type of its own, in one line of bounded length, without control characters."""
    return one_line(str.__str__(text), redact, LONGEST_TEXT) if text else ""


def fault_of_error(error: ProviderError) -> str:
    """What is wrong with an error, such as ``at is int, expected a text``; empty if nothing is."""
    return _Parts(error).fault


def _made(
    error: ProviderError, parts: _Parts, redact: Callable[[str], str], breach: Callable[[str], str]
) -> ProviderError:
    text = sound_text(parts.text, redact)
    if parts.fault:
        said = breach(f"{type(error).__name__}, whose {parts.fault}{place(error)}")
        text = f"{text}; {said}" if text else said
    elif not text or not parts.has_text:
        text = f"{text or NO_REASON}{place(error)}"
    kind: Any = next(one for one in type(error).__mro__ if one.__module__.startswith("occopus_core."))
    made: ProviderError = kind.__new__(kind)
    request_id = parts.request_id and sound_text(parts.request_id, redact)
    ProviderError.__init__(made, text, request_id=request_id, unreached=parts.unreached)
    if isinstance(made, ThrottledError):
        made.retry_after = parts.retry_after
    if isinstance(made, PermanentError):
        made.at, made.here, made.more = parts.at, parts.here, ()
    return made


class _Parts:
    """The attributes of an error, each of the right type, and what is wrong with them."""

    def __init__(self, error: ProviderError) -> None:
        self._error: Any = error
        self._faults: list[str] = []
        own_text = type(error).__str__ is not ProviderError.__str__
        text: str = self._read("__str__()", lambda: str(error), _text, "") if own_text else ""
        self.text = text or self._read("message", lambda: getattr(error, "message", None), _message, "")
        self.has_text = self._attribute("has_text", bool, True)
        self.request_id = None if text else self._attribute("request_id", _text_or_none, None)
        self.unreached = self._attribute("unreached", bool, False)
        self.retry_after: float | None = None
        self.at, self.here = "", False
        self.more: tuple[PermanentError, ...] = ()
        if isinstance(error, ThrottledError):
            self.retry_after = self._attribute("retry_after", _seconds, None)
        if isinstance(error, PermanentError):
            self.at, self.here = self._attribute("at", _text, ""), self._attribute("here", bool, False)
            self.more = self._attribute("more", _others, ())

    @property
    def fault(self) -> str:
        """The first thing that is wrong; empty if nothing is."""
        return self._faults[0] if self._faults else ""

    def _attribute(self, name: str, convert: Callable[[object], T], default: T) -> T:
        return self._read(name, lambda: getattr(self._error, name, default), convert, default)

    def _read(self, name: str, get: Callable[[], object], convert: Callable[[object], T], default: T) -> T:
        try:
            return convert(get())
        except _WrongValueError as wrong:
            self._faults.append(f"{name} {wrong}")
        except (Exception, SystemExit) as raised:  # noqa: BLE001  # code of the plugin may raise anything
            self._faults.append(f"{name} raises {type(raised).__name__}")
        return default


class _WrongValueError(Exception):
    """An attribute has a value of a wrong type, or out of range."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongValueError(f"is {type(value).__name__}, expected a text")
    return str.__str__(value)


def _message(value: object) -> str:
    if value is None:
        raise _WrongValueError("is missing: its __init__ has to call super().__init__ with a text")
    return _text(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _WrongValueError(f"is {type(value).__name__}, expected a number of seconds or None")
    if not 0 <= value <= sys.float_info.max:
        raise _WrongValueError(f"is {reprlib.repr(value)}, expected at least 0 seconds, or None")
    return float(value)


def _others(value: object) -> tuple[PermanentError, ...]:
    if not isinstance(value, tuple) or not all(isinstance(each, PermanentError) for each in value):
        raise _WrongValueError(f"is {type(value).__name__}, expected a tuple of PermanentError")
    return value
