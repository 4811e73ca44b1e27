"""Scalars made what a schema wants: text as it was written, numbers and truths from their text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jsonschema.protocols import Validator

from occopus_core.api import scalars
from occopus_core.api.written import texts_of
from occopus_core.descriptions.problems import Path

Error = Any
"""A `jsonschema.ValidationError`."""
MAX_ROUNDS = 10
"""How often a document is looked at again: what was made right may show the next branch of a schema."""


class _Unfit:
    """Stands for a value that cannot be made what is wanted."""


_UNFIT, ABSENT = _Unfit(), _Unfit()
"""`ABSENT` stands for a key that is taken away."""

Changed = Callable[[Path, Any], object]
"""Called with the path and the old value of each scalar that is about to be changed."""


def coerced(data: Any, using: Validator, changed: Changed = lambda _path, _old: None) -> list[Error]:
    """What is wrong with `data`, once every scalar that can be is what the schema wants. Changes `data` in place.

    Where text is wanted, a number or a truth is its written text; where a number is wanted, digits are one; where a
    truth is wanted, so are the words of YAML 1.1. A key with nothing behind it is taken away. Idempotent.
    """
    errors: list[Error] = []
    for _ in range(MAX_ROUNDS):
        errors = list(using.iter_errors(data))
        done: set[tuple[int, Any]] = set()
        for found in (each for error in errors for each in leaves(error)):
            path = tuple(found.absolute_path)
            holder = _holder(data, path)
            if holder is None or (id(holder), path[-1]) in done:
                continue
            new = _wanted(found, holder, path[-1])
            if new is not _UNFIT:
                done.add((id(holder), path[-1]))
                changed(path, holder[path[-1]])
                _put(holder, path[-1], new)
        if not done:
            break
    return errors


def leaves(error: Error) -> Iterator[Error]:
    """The errors of single values behind an error: wrong types and wrong words. Of alternatives, those of each."""
    if error.validator in ("anyOf", "oneOf"):
        for found in error.context or ():
            yield from leaves(found)
    elif error.validator in ("type", "enum", "const") and "propertyNames" not in error.schema_path:
        yield error


def _holder(data: Any, path: Path) -> Any:
    """The mapping or list that the value at `path` is in; None where the path is the top."""
    holder = data
    for step in path[:-1]:
        holder = holder[step]
    return holder if path else None


def _put(holder: Any, at: Any, new: Any) -> None:
    texts = texts_of(holder)
    if isinstance(texts, dict):
        texts.pop(at, None)
    if new is ABSENT:
        del holder[at]
    else:
        holder[at] = new


def _wanted(error: Error, holder: Any, at: Any) -> Any:
    value = holder[at]
    if isinstance(value, dict | list):
        return _UNFIT
    if value is None:
        return ABSENT if isinstance(holder, dict) and error.validator == "type" else _UNFIT
    text = texts_of(holder).get(at, scalars.canonical(value))
    if error.validator == "type":
        kinds = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
        return next((new for kind in kinds if (new := _of_kind(kind, value, text)) is not _UNFIT), _UNFIT)
    allowed = [error.validator_value] if error.validator == "const" else error.validator_value
    return next((one for one in allowed if not isinstance(one, dict | list) and _says(one, value, text)), _UNFIT)


def _of_kind(kind: str, value: Any, text: str) -> Any:
    if kind == "string":
        return text
    if kind == "boolean" and isinstance(value, str):
        truth = scalars.truth(text)
        return _UNFIT if truth is None else truth
    if kind in ("integer", "number") and isinstance(value, str):
        number = scalars.kept(text.strip())
        fits = isinstance(number, int if kind == "integer" else int | float) and not isinstance(number, bool)
        return number if fits else _UNFIT
    return _UNFIT


def _says(one: Any, value: Any, text: str) -> bool:
    """True where the text of a scalar is that of an allowed value of another kind."""
    if isinstance(one, bool):
        return isinstance(value, str) and scalars.truth(text) is one
    return type(one) is not type(value) and scalars.canonical(one) == text
