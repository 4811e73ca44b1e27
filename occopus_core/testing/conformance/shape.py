"""Clauses about the handler's class and object, before there is an instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jsonschema

from occopus_core.api import Feature, InstanceId, ResourceHandler
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
    """Clauses about a handler before its use."""

    def test_contract_version(self, harness: ResourceHarness) -> None:
        """The class states which version of the contract it is written for, and it is the current one."""
        assert_states_version(plugin_class(harness.handler()))

    def test_class_attributes(self, harness: ResourceHarness) -> None:
        """The class attributes are valid: names, a positive concurrency, ordered seconds."""
        handler = type(harness.handler())
        fault = fault_of_declarations(handler)
        assert not fault, fault
        assert not handler.stop_seconds or Feature.STOP in handler.features, "stop_seconds is for Feature.STOP"

    def test_schema_is_valid(self, harness: ResourceHarness) -> None:
        """`schema` returns a valid JSON Schema (draft-07) of an object."""
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
        """The schema accepts the `resource` section of a working request."""
        section = {key: value for key, value in order(harness).resource.items() if key not in {"type", "name"}}
        jsonschema.Draft7Validator(type(harness.handler()).schema()).validate(section)

    def test_schema_imports_no_sdk(self, harness: ResourceHarness) -> None:
        """`schema` does not import the provider's library."""
        assert harness.sdk_modules, "the harness names no `sdk_modules`: name them, or this clause in `not_applicable`"
        assert_imports_none(plugin_class(harness.handler()), harness.sdk_modules)

    def test_making_calls_nobody(self, harness: ResourceHarness) -> None:
        """The constructor does not call the provider."""
        before = calls(harness)
        harness.handler()
        assert calls(harness) == before, "making the handler called the provider"

    def test_constructor_does_no_io(self, harness: ResourceHarness) -> None:
        """The constructor does no I/O: it opens no connection, starts no process, writes no file."""
        harness.handler()  # imports are made before
        assert_no_io(harness.handler)

    def test_check_calls_nobody(self, harness: ResourceHarness) -> None:
        """`check` does not call the provider, and accepts a working request."""
        handler, request, before = harness.handler(), order(harness), calls(harness)
        handler.check(request)
        assert calls(harness) == before, "check called the provider"

    def test_powers_without_io(self, harness: ResourceHarness) -> None:
        """`powers` returns texts without I/O, also for sections with templates."""
        plugin, section = _class_of(harness), order(harness).resource
        for asked in (section, _as_templates(section)):
            _assert_texts(lambda: plugin.powers(asked), "powers")  # noqa: B023 - it is called at once

    def test_sources_without_io(self, harness: ResourceHarness) -> None:
        """`sources` returns texts without I/O, also for sections with templates."""
        plugin, section = _class_of(harness), order(harness).resource
        for asked in (section, _as_templates(section)):
            _assert_texts(lambda: plugin.sources(asked), "sources")  # noqa: B023 - it is called at once

    def test_exclusive_without_io(self, harness: ResourceHarness) -> None:
        """`exclusive` and `unshared` return texts without I/O, also for sections with templates."""
        plugin, section = _class_of(harness), order(harness).resource
        for asked in (section, _as_templates(section)):
            _assert_texts(lambda: plugin.exclusive(asked), "exclusive")  # noqa: B023 - it is called at once
            _assert_texts(lambda: plugin.unshared(asked), "unshared")  # noqa: B023 - it is called at once

    def test_auth_fault_without_io(self, harness: ResourceHarness) -> None:
        """`auth_fault` finds no error in working credentials, and raises nothing for others, without I/O."""
        handler = harness.handler()
        plugin, works = _class_of(harness), handler.connection.auth
        plugin.auth_fault(works)  # imports are made before
        for auth in (works, {}, {"unknown": "unknown"}):
            found: list[object] = []
            assert_no_io(lambda: found.append(plugin.auth_fault(auth)))  # noqa: B023 - it is called at once
            assert isinstance(found[0], str), f"auth_fault answered {type(found[0]).__name__}, expected a text"
            assert auth is not works or not found[0], "auth_fault refuses credentials that work"

    def test_way_in_without_io(self, harness: ResourceHarness) -> None:
        """`way_in` returns a text without secrets, without I/O."""
        handler, request = harness.handler(), order(harness)
        plugin, found = _class_of(harness), list[object]()
        for settings in ({}, handler.connection.settings):
            assert_no_io(lambda: found.append(plugin.way_in(settings, InstanceId(request.token))))  # noqa: B023
        assert all(isinstance(each, str) for each in found), "way_in answers a text; an empty one where there is no way"
        shown = leaked(" ".join(map(str, found)), secrets(handler, request), handler.connection.auth)
        assert not shown, f"way_in shows {shown}"

    def test_repr_keeps_secrets(self, harness: ResourceHarness) -> None:
        """No `repr` contains credentials or the instance's context."""
        handler, request = harness.handler(), order(harness)
        shown = f"{handler!r} {handler} {handler.connection!r} {request!r}"
        found = leaked(shown, secrets(handler, request), handler.connection.auth)
        assert not found, f"a repr shows {found}"


def _class_of(harness: ResourceHarness) -> type[ResourceHandler]:
    return cast("type[ResourceHandler]", plugin_class(harness.handler()))


def _as_templates(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section with a template in place of each value except its type."""
    return {key: value if key == "type" else "{{ variables.x }}" for key, value in section.items()}


def _assert_texts(ask: Callable[[], Sequence[str]], name: str) -> None:
    """The call returns a sequence of non-empty texts, without I/O."""
    ask()  # imports are made before
    found: list[object] = []
    assert_no_io(lambda: found.append(ask()))
    (answer,) = found
    assert isinstance(answer, list | tuple), f"{name} answered {type(answer).__name__}, expected a list of texts"
    assert all(isinstance(each, str) and each for each in answer), f"{name} answers texts that say what they mean"
