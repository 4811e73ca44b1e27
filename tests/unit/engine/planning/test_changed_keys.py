"""Every key of the schemas of descriptions: a plan says that it changes."""

from __future__ import annotations

import json

import pytest

from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.schema import core_schema
from occopus_core.engine.planning.changes import changes_of

EACH = "[]"
"""In a path: an item of a list."""
BASE = {
    "infra_name": "shop",
    "user_id": "me",
    "expires": "8h",
    "variables": {"a": 1},
    "outputs": {"url": "x"},
    "nodes": [
        {"name": "web", "type": "web", "scaling": {"min": 1, "max": 5}, "variables": {"b": 1}},
        {"name": "db", "type": "db"},
        {"name": "cache", "type": "db"},
    ],
    "dependencies": [],
}
VALUES = {
    ("variables",): ({"a": 1}, {"a": 2}),
    ("outputs",): ({"url": "x"}, {"url": "y"}),
    ("nodes", EACH, "filter"): ({}, {"size": "big"}),
    ("nodes", EACH, "variables"): ({"b": 1}, {"b": 2}),
    ("dependencies", EACH): (["web", "db"], ["web", "cache"]),
    ("dependencies", EACH, "connection"): (["web", "db"], ["web", "cache"]),
    ("dependencies", EACH, "mappings", EACH): (["port", "db_port"], ["port", "other_port"]),
    ("dependencies", EACH, "mappings", EACH, "attributes"): (["port", "db_port"], ["address", "db_port"]),
}
"""Two values of keys whose schema does not say enough to make up some."""
WITHOUT_EFFECT = {("health_check", "type")}


def keys(schema, path=()):
    """The path and the schema of each key that has no keys of its own."""
    if "if" in schema:  # a pair, or a mapping with it
        yield path, schema["then"]
        schema = schema["else"]
    if schema.get("properties"):
        for name, one in schema["properties"].items():
            yield from keys(one, (*path, name))
    elif {"if", "properties"} & schema.get("items", {}).keys():
        yield from keys(schema["items"], (*path, EACH))
    else:
        yield path, schema


def values(path, schema):
    if path in VALUES:
        return VALUES[path]
    if "enum" in schema:
        return schema["enum"][:2]
    made = {"boolean": (False, True), "integer": (1, 2), "number": (1, 2), "string": schema.get("examples", ["a"])}
    found = made[schema["type"]]
    return (*found, "web-b")[:2]


def put(value, path, new):
    """The value with another one at a path within it; of a list, in its first item."""
    if not path:
        return new
    step, *rest = path
    if step == EACH:
        first, *others = value or [None]
        return [put(first, rest, new), *others]
    return {**(value or {}), step: put((value or {}).get(step), rest, new)}


def infrastructure(document):
    return load_infrastructure(json.dumps(document).encode(), name="infra.yaml")


def described(path, value):
    document = put(BASE, path, value)
    if path[0] == "dependencies" and len(path) > 2:
        (edge,) = document["dependencies"]
        edge.setdefault("connection", ["web", "db"])
        for mapping in edge.get("mappings", []):
            if isinstance(mapping, dict):
                mapping.setdefault("attributes", ["port", "db_port"])
    return infrastructure(document)


OF_INFRASTRUCTURES = dict(keys(core_schema("infrastructure")))


@pytest.mark.parametrize("path", OF_INFRASTRUCTURES, ids=".".join)
def test_every_key_of_an_infrastructure(path):
    before, after = (described(path, value) for value in values(path, OF_INFRASTRUCTURES[path]))
    assert changes_of(before, {}, before, {}).count == 0
    assert changes_of(before, {}, after, {}).count > 0


class AnyPlugin:
    """Plugins that accept everything."""

    def schema(self, kind, name):
        return {} if kind == "health" else {"additionalProperties": True}

    def undeliverable(self, resource_type, context_type):
        return ()


DEFINITION = core_schema("node_definitions")["patternProperties"]["^node_def:\\S+$"]["items"]
OF_DEFINITIONS = dict(keys(DEFINITION))


def defined(path, value):
    implementation = put({"resource": {"type": "a"}}, path, value)
    text = json.dumps({"node_def:web": [implementation]}).encode()
    (definition,) = load_node_definitions(text, AnyPlugin(), name="nodes.yaml")
    return definition.implementations


@pytest.mark.parametrize("path", [one for one in OF_DEFINITIONS if one not in WITHOUT_EFFECT], ids=".".join)
def test_every_key_of_a_node_definition(path):
    before, after = (defined(path, value) for value in values(path, OF_DEFINITIONS[path]))
    shop = infrastructure(BASE)
    assert changes_of(shop, {"web": before}, shop, {"web": before}).count == 0
    assert changes_of(shop, {"web": before}, shop, {"web": after}).nodes["web"]


@pytest.mark.parametrize("path", [("resource", "size"), ("contextualisation", "env"), ("health_check", "ports")])
def test_a_key_of_a_plugin(path):
    section = {"type": "a"} if path[0] != "health_check" else {}
    before, after = (defined(path[:1], {**section, path[1]: [value]}) for value in (1, 2))
    shop = infrastructure(BASE)
    assert changes_of(shop, {"web": before}, shop, {"web": after}).nodes["web"]


def test_the_keys_are_known():
    """The walk finds them at every depth."""
    assert {("expires",), ("nodes", EACH, "scaling", "max"), *VALUES} <= OF_INFRASTRUCTURES.keys()
    assert {("resource", "type"), ("health_check", "timeout")} <= OF_DEFINITIONS.keys()
