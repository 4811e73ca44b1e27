"""Takes over the results and errors of plugin calls: as plain objects, with secrets redacted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from occopus_core.api.config import ConfigStatus
from occopus_core.api.errors import PermanentError, ProviderError
from occopus_core.api.health import Verdict
from occopus_core.api.resource import Instance
from occopus_core.engine.kernel.outcome import Outcome
from occopus_core.sound_errors import sound_text

Redact = Callable[[str], str]
T = TypeVar("T")

_TEXTS: Mapping[type, tuple[str, ...]] = {
    Instance: ("raw_state", "reason"),
    Verdict: ("reason",),
    ConfigStatus: ("reason", "progress", "attributes", "output"),
}
"""Fields with texts of providers, by class. All other parts of a result stay as they are."""


def without_secrets(outcome: Outcome[T], redact: Redact) -> Outcome[T]:
    """Return the outcome of a call with its error, or the texts of its result, redacted.

    A result that raises when it is read becomes a `PermanentError`.
    """
    try:
        if outcome.error is not None:
            return Outcome(error=_error(outcome.error, redact))
        return Outcome(value=_answer(outcome.value, redact))
    except Exception as error:  # noqa: BLE001  # a plugin's own types may raise anything
        return Outcome(error=PermanentError(f"the plugin answered what raises {type(error).__name__}"))


def redacted(value: Any, redact: Redact) -> Any:
    """Return a JSON value with every text in it redacted."""
    if isinstance(value, str):
        return redact(str.__str__(value))
    if isinstance(value, Mapping):
        return {redact(str(key)): redacted(item, redact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, redact) for item in value]
    return value


def _error(error: Exception, redact: Redact) -> Exception:
    """Redact the texts of an error in place: its type decides how the core continues."""
    error.args = tuple(redacted(one, redact) if isinstance(one, str) else one for one in error.args)
    for name in ("message", "request_id") if isinstance(error, ProviderError) else ("strerror", "filename"):
        text = getattr(error, name, None)
        if isinstance(text, str):
            setattr(error, name, redact(text))
    return error


def _answer(value: Any, redact: Redact) -> Any:
    if isinstance(value, Outcome):
        return without_secrets(value, redact)
    if type(value) is dict:
        return {key: _answer(item, redact) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_answer(item, redact) for item in value)
    kind = next((one for one in _TEXTS if isinstance(value, one)), None)
    return value if kind is None else _taken_over(kind, value, redact)


def _taken_over(kind: type, value: Any, redact: Redact) -> Any:
    """An answer as an object of the contract's own class, with plain texts: those of a subclass may raise later."""
    fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(kind)}
    plain = {name: str.__str__(text) for name, text in fields.items() if isinstance(text, str)}
    clean = sound_text if kind is Verdict else redacted  # the others are cleaned where they are checked
    texts = {name: clean(fields[name], redact) for name in _TEXTS[kind] if fields[name]}
    return kind(**{**fields, **plain, **texts})
