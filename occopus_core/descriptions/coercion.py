"""Converts scalars to the types of a schema: written text for text, numbers and booleans from text."""

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
"""How often a document is validated again: a conversion may select another branch of a schema."""


class _Unfit:
    """Marks a value that cannot be converted."""


_UNFIT, ABSENT = _Unfit(), _Unfit()
"""`ABSENT` marks a key to be removed."""

Changed = Callable[[Path, Any], object]
"""Called with the path and the old value of each scalar before it is changed."""


def coerced(data: Any, using: Validator, changed: Changed = lambda _path, _old: None) -> list[Error]:
    """The errors of `data` after every possible conversion of scalars. Changes `data` in place.

    For text, a number or a boolean becomes its written text; for a number, digits are converted; for a boolean, words
    of YAML 1.1, too. A key without a value is removed. Idempotent.
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
    """The errors of single values below an error: wrong types and words, for each alternative."""
    if error.validator in ("anyOf", "oneOf"):
        for found in error.context or ():
            yield from leaves(found)
    elif error.validator in ("type", "enum", "const") and "propertyNames" not in error.schema_path:
        yield error


def _holder(data: Any, path: Path) -> Any:
    """The mapping or list that contains the value at `path`; None for the top."""
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
    """True if the text of a scalar is that of an allowed value of another type."""
    if isinstance(one, bool):
        return isinstance(value, str) and scalars.truth(text) is one
    return type(one) is not type(value) and scalars.canonical(one) == text
