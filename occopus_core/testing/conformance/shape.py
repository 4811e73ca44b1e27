"""Clauses about the handler as a class and an object, before there is an instance."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from occopus_core.api import CONTRACT_VERSION, ContextForm
from occopus_core.testing.conformance.base import calls, order, secrets
from occopus_core.testing.conformance.harness import ResourceHarness

_MODULES_FOR_SCHEMA = """
import functools, importlib, json, sys
functools.reduce(getattr, sys.argv[2].split("."), importlib.import_module(sys.argv[1])).schema()
print(json.dumps(sorted(sys.modules)))
"""
_IMPORT_SECONDS = 60


class ShapeClauses:
    """What is known of a handler before it is used."""

    def test_contract_version(self, harness: ResourceHarness) -> None:
        """`contract_version` is the version of the contract it is written for."""
        version = getattr(type(harness.handler()), "contract_version", None)
        assert version is not None, f"the class does not state it: contract_version = {CONTRACT_VERSION}"
        assert version == CONTRACT_VERSION, f"written for version {version}, the suite is of version {CONTRACT_VERSION}"

    def test_class_attributes(self, harness: ResourceHarness) -> None:
        """The class attributes make sense: names, a positive concurrency, seconds in order."""
        handler = type(harness.handler())
        shortest, longest = handler.poll_seconds
        assert all(isinstance(key, str) for key in handler.connection_keys), "connection_keys are names"
        assert all(isinstance(form, ContextForm) for form in handler.context_forms), "context_forms are `ContextForm`s"
        assert handler.max_concurrency >= 1, "max_concurrency is at least 1"
        assert 0 < shortest <= longest, "poll_seconds are the shortest and the longest, above 0"
        assert handler.consistency_window >= 0, "consistency_window is not negative"

    def test_schema_is_valid(self, harness: ResourceHarness) -> None:
        """`schema` answers a valid JSON Schema (draft-07) of an object."""
        schema = type(harness.handler()).schema()
        jsonschema.Draft7Validator.check_schema(schema)
        assert schema.get("type") == "object", "the schema is of an object"
        assert not {"type", "name"} & set(schema.get("properties", {})), "the core adds `type` and `name`"

    def test_schema_describes_every_property(self, harness: ResourceHarness) -> None:
        """Every property of the schema has a description, which editors show."""
        bare = [path for path, value in _properties(type(harness.handler()).schema()) if not value.get("description")]
        assert not bare, f"properties without a description: {', '.join(bare)}"

    def test_schema_covers_connection_keys(self, harness: ResourceHarness) -> None:
        """The connection keys are properties of the schema."""
        handler = type(harness.handler())
        missing = set(handler.connection_keys) - set(handler.schema().get("properties", {}))
        assert not missing, f"not in the schema: {', '.join(sorted(missing))}"

    def test_schema_accepts_requests(self, harness: ResourceHarness) -> None:
        """The schema accepts the `resource` section of a request that works."""
        section = {key: value for key, value in order(harness).resource.items() if key not in {"type", "name"}}
        jsonschema.Draft7Validator(type(harness.handler()).schema()).validate(section)

    def test_schema_imports_no_sdk(self, harness: ResourceHarness) -> None:
        """`schema` must not import the provider's library."""
        assert harness.sdk_modules, "the harness names no `sdk_modules`: name them, or this clause in `not_applicable`"
        handler = type(harness.handler())
        loaded = subprocess.run(
            [sys.executable, "-c", _MODULES_FOR_SCHEMA, handler.__module__, handler.__qualname__],
            check=True,
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
        )
        wrong = set(harness.sdk_modules) & set(json.loads(loaded.stdout))
        assert not wrong, f"asking for the schema imported {', '.join(sorted(wrong))}"

    def test_making_calls_nobody(self, harness: ResourceHarness) -> None:
        """Making the object calls nobody."""
        before = calls(harness)
        harness.handler()
        assert calls(harness) == before, "making the handler called the provider"

    def test_check_calls_nobody(self, harness: ResourceHarness) -> None:
        """`check` refuses without calling the provider, and accepts what works."""
        handler, request, before = harness.handler(), order(harness), calls(harness)
        handler.check(request)
        assert calls(harness) == before, "check called the provider"

    def test_repr_keeps_secrets(self, harness: ResourceHarness) -> None:
        """Credentials and what the instance is given are in no `repr`."""
        handler, request = harness.handler(), order(harness)
        shown = f"{handler!r} {handler} {handler.connection!r} {request!r}"
        assert not [secret for secret in secrets(handler, request) if secret in shown], "a repr shows a secret"


def _properties(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every property at any depth, with its path."""
    if isinstance(schema, list):
        for item in schema:
            yield from _properties(item, path)
    elif isinstance(schema, Mapping):
        for name, value in schema.get("properties", {}).items():
            yield f"{path}{name}", value
            yield from _properties(value, f"{path}{name}.")
        for keyword in ("items", "additionalProperties", "allOf", "anyOf", "oneOf", "if", "then", "else"):
            yield from _properties(schema.get(keyword), path)
