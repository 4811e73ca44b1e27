"""Clauses about the handler as a class and an object, before there is an instance."""

from __future__ import annotations

import jsonschema

from occopus_core.api import Feature
from occopus_core.api.declared import fault_of_declarations
from occopus_core.testing.conformance.base import calls, order, secrets
from occopus_core.testing.conformance.harness import ResourceHarness
from occopus_core.testing.shape import (
    assert_describes_properties,
    assert_imports_none,
    assert_no_io,
    assert_states_version,
    plugin_class,
)
from occopus_core.testing.suite import leaked


class ShapeClauses:
    """What is known of a handler before it is used."""

    def test_contract_version(self, harness: ResourceHarness) -> None:
        """The class states itself which version of the contract it is written for, and it is this one."""
        assert_states_version(plugin_class(harness.handler()))

    def test_class_attributes(self, harness: ResourceHarness) -> None:
        """The class attributes make sense: names, a positive concurrency, seconds in order."""
        handler = type(harness.handler())
        fault = fault_of_declarations(handler)
        assert not fault, fault
        assert not handler.stop_seconds or Feature.STOP in handler.features, "stop_seconds is for Feature.STOP"

    def test_schema_is_valid(self, harness: ResourceHarness) -> None:
        """`schema` answers a valid JSON Schema (draft-07) of an object."""
        schema = type(harness.handler()).schema()
        jsonschema.Draft7Validator.check_schema(schema)
        assert schema.get("type") == "object", "the schema is of an object"
        added = {"type", "name", *(["stop_seconds"] if Feature.STOP in type(harness.handler()).features else [])}
        own = added & set(schema.get("properties", {}))
        assert not own, f"the core adds {', '.join(sorted(own))}"

    def test_schema_describes_every_property(self, harness: ResourceHarness) -> None:
        """Every property of the schema has a description, which editors show."""
        assert_describes_properties(type(harness.handler()).schema())

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
        assert_imports_none(plugin_class(harness.handler()), harness.sdk_modules)

    def test_making_calls_nobody(self, harness: ResourceHarness) -> None:
        """The constructor does no I/O."""
        before = calls(harness)
        harness.handler()
        assert calls(harness) == before, "making the handler called the provider"

    def test_constructor_does_no_io(self, harness: ResourceHarness) -> None:
        """The constructor does no I/O: no connection, no process, no file that is written."""
        harness.handler()  # performs its imports first
        assert_no_io(harness.handler)

    def test_check_calls_nobody(self, harness: ResourceHarness) -> None:
        """`check` refuses without calling the provider, and accepts what works."""
        handler, request, before = harness.handler(), order(harness), calls(harness)
        handler.check(request)
        assert calls(harness) == before, "check called the provider"

    def test_repr_keeps_secrets(self, harness: ResourceHarness) -> None:
        """Credentials and what the instance is given are in no `repr`."""
        handler, request = harness.handler(), order(harness)
        shown = f"{handler!r} {handler} {handler.connection!r} {request!r}"
        found = leaked(shown, secrets(handler, request), handler.connection.auth)
        assert not found, f"a repr shows {found}"
