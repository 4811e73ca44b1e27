"""Checks that a plugin's schema can be used to validate files."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jsonschema

_DATA = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are data, in which `$ref` is an ordinary key."""
_SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
"""Keywords whose schemas apply to the same value as the schema that they are part of."""


def fault_of_schema(schema: object, core_keys: Collection[str] = ()) -> str:
    """The mistake in a plugin's schema; empty if there is none. The core adds `core_keys` to the section."""
    if not isinstance(schema, Mapping):
        return f"schema() answered {reprlib.repr(schema)}, expected a mapping"
    if fault := _fault_of_json(schema):
        return f"schema() answered what is not JSON: {fault}"
    try:
        jsonschema.Draft7Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        at = "".join(f"/{part}" for part in error.absolute_path)
        return f"schema() is not a JSON Schema: {reprlib.repr(error.instance)} at {at or '/'}"
    references = sorted(set(_references(schema)))
    if lost := [ref for ref in references if not _leads_somewhere(ref, schema)]:
        return f"schema() has broken references: {', '.join(lost)}"
    if endless := [ref for ref in references if _is_endless(ref, schema)]:
        return f"schema() has references that lead back to themselves: {', '.join(endless)}"
    own = sorted(set(core_keys) & schema.get("properties", {}).keys())
    return f"schema() describes {', '.join(own)}, which the core adds" if own else ""


def _fault_of_json(schema: Mapping[Any, Any]) -> str:
    try:
        json.dumps(schema, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        return f"{error.object[error.start]!a} in a text is half of a character"
    except (TypeError, ValueError, RecursionError) as error:
        return str(error)
    keys = [f"the key {reprlib.repr(key)} is {type(key).__name__}, expected a text" for key in _other_keys(schema)]
    return next(iter(keys), "")


def _other_keys(value: Any) -> Iterator[object]:
    """The keys that are not text, at any depth."""
    if isinstance(value, Mapping):
        yield from (key for key in value if not isinstance(key, str))
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _other_keys(part)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for key, value in schema.items():
            if key not in _DATA:
                yield from _references(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from _references(value)


def _leads_somewhere(ref: str, schema: Any) -> bool:
    try:
        _target(ref, schema)
    except LookupError:
        return False
    return True


def _target(ref: str, schema: Any) -> Any:
    """What a reference within the schema names. Raises `LookupError`; external references are never fetched."""
    if ref != "#" and not ref.startswith("#/"):
        raise LookupError(ref)
    found = schema
    for part in ref[2:].split("/") if ref != "#" else ():
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            raise LookupError(ref)
        found = found[name]
    return found


def _is_endless(ref: str, schema: Any) -> bool:
    """Whether following the reference for one value comes back to it: validation would never end."""
    seen, waiting = set[str](), [ref]
    while waiting:
        found = set(_followed(_target(waiting.pop(), schema))) - seen
        if ref in found:
            return True
        seen |= found
        waiting += found
    return False


def _followed(schema: Any) -> Iterator[str]:
    """The references that are followed for the very value to which the schema applies."""
    if isinstance(schema, list | tuple):
        for one in schema:
            yield from _followed(one)
    elif isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for part in (*map(schema.get, _SAME_VALUE), *schema.get("dependencies", {}).values()):
            yield from _followed(part)
