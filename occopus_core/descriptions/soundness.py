"""Checks that a plugin's schema can be used to validate files."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

_DATA = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are data, in which `$ref` is an ordinary key."""


def fault_of_schema(schema: object) -> str:
    """The mistake in a plugin's schema, as a message; empty if there is none."""
    if not isinstance(schema, Mapping):
        return f"schema() answered {reprlib.repr(schema)}, expected a mapping"
    try:
        json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        return f"schema() answered what is not JSON: {error}"
    try:
        jsonschema.Draft7Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        at = "".join(f"/{part}" for part in error.absolute_path)
        return f"schema() is not a JSON Schema: {reprlib.repr(error.instance)} at {at or '/'}"
    lost = sorted({ref for ref in _references(schema) if not _leads_somewhere(ref, schema)})
    return f"schema() has broken references: {', '.join(lost)}" if lost else ""


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
    """True for a reference within the schema; external references are never fetched."""
    if ref == "#":
        return True
    if not ref.startswith("#/"):
        return False
    found = schema
    for part in ref[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            return False
        found = found[name]
    return True
