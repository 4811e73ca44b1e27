"""Every number of seconds has a largest value: in the schemas of the core, and in those of all plugins here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from occopus_core.api.errors import PermanentError
from occopus_core.api.seconds import MOST_LOGIN_SECONDS, MOST_SECONDS
from occopus_core.api.ssh import LOGIN_PROPERTIES, target
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.descriptions.schema import core_schema
from occopus_core.registry import Registry

SECONDS = re.compile("seconds$|timeout$|^interval$")
KINDS = ("resource", "config", "context", "health", "notify")
EXTREMES = [".nan", ".inf", "-.inf", "-1", "-1e300", "1e300", "1e400", "315360000.5", "9" * 400]


def numbers(schema: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The schemas of numbers of seconds, with their keys."""
    if isinstance(schema, Mapping):
        kinds = schema.get("type", ())
        if SECONDS.search(key) and {"number", "integer"} & {*([kinds] if isinstance(kinds, str) else kinds)}:
            yield key, schema
        for name, piece in schema.items():
            yield from numbers(piece, name)
    elif isinstance(schema, list | tuple):
        for piece in schema:
            yield from numbers(piece, key)


def plugins() -> Iterator[tuple[str, Any]]:
    registry = Registry()
    for kind in KINDS:
        for name in registry.installed(kind):
            yield f"{kind}.{name}", registry.schema(kind, name)


def test_every_number_of_seconds_has_the_maximum():
    schemas = {name: core_schema(name) for name in ("infrastructure", "node_definitions", "auth_data")}
    found = [(at, *each) for at, schema in {**schemas, **dict(plugins())}.items() for each in numbers(schema)]
    keys = {(at, key) for at, key, _ in found}
    assert {("node_definitions", "timeout"), ("node_definitions", "min_ready_seconds")} < keys
    assert {("resource.docker", "stop_seconds"), ("config.ssh", "connect_timeout"), ("config.sim", "seconds")} < keys
    for at, key, schema in found:
        most = MOST_LOGIN_SECONDS if key == "connect_timeout" else MOST_SECONDS
        assert schema.get("maximum") == most, f"{at}: {key}"


def definition(key: str, value: str) -> str:
    if key == "stop_seconds":
        return f"node_def:a:\n  - resource: {{type: slow, {key}: {value}}}\n"
    return f"node_def:a:\n  - resource: {{type: slow}}\n    health_check:\n      {key}: {value}\n"


class Slow:
    """Plugins of one handler that can stop instances."""

    def schema(self, kind: str, name: str) -> Mapping[str, Any]:
        assert (kind, name) == ("resource", "slow")
        return LOCAL | {"required": [], "properties": {"stop_seconds": STOP}}

    def undeliverable(self, resource_type: str, context_type: str) -> frozenset[Any]:
        return frozenset()


LOCAL = Registry().schema("resource", "local")
STOP = LOCAL["properties"]["stop_seconds"]


@pytest.mark.parametrize("key", ["timeout", "min_ready_seconds", "stop_seconds"])
@pytest.mark.parametrize("value", EXTREMES)
def test_extreme_numbers_of_seconds_are_refused_with_their_place(key, value):
    with pytest.raises(DescriptionError) as caught:
        load_node_definitions(definition(key, value), Slow(), name="n.yaml")
    (problem,) = caught.value.problems
    assert re.match(rf"n\.yaml:\d:\d+: .*{key}", str(problem))


@pytest.mark.parametrize("key", ["timeout", "min_ready_seconds", "stop_seconds"])
@given(value=st.floats() | st.integers())
@example(MOST_SECONDS)
@example(MOST_SECONDS + 1)
def test_seconds_are_within_their_bounds_or_refused(key, value):
    text = definition(key, {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(str(value), str(value)))
    allowed = (value > 0 if key == "timeout" else value >= 0) and value <= MOST_SECONDS
    try:
        load_node_definitions(text, Slow(), name="n.yaml")
    except DescriptionError:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize("expires", ["999999999w", "9999-12-31T23:59-12:00", "365251d"])
def test_a_life_time_that_is_too_long_is_refused_with_its_place(expires):
    text = f"infra_name: a\nuser_id: u\nexpires: {expires}\nnodes: [{{name: a, type: a}}]\n"
    with pytest.raises(DescriptionError) as caught:
        load_infrastructure(text, name="i.yaml")
    (problem,) = caught.value.problems
    expected = f"i.yaml:3:10: expires: '{expires}' is too long: a life time is at most 365250d, and ends before the "
    assert str(problem) == expected + "year 9999"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "-1", "0", "86401", "soon"])
def test_a_login_takes_a_day_at_most_whatever_a_template_makes(value):
    with pytest.raises(PermanentError, match="connect_timeout must be more than 0 and at most 86400"):
        target({"connect_timeout": value}, {"password": "secret"}, "id", "192.0.2.1")
    assert LOGIN_PROPERTIES["connect_timeout"]["maximum"] == MOST_LOGIN_SECONDS
