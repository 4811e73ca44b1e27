"""The schemas for editors: up to date, valid, and lenient where an editor sees less than we do."""

import json
from pathlib import Path

import jsonschema
import pytest

from occopus_core.descriptions import export
from occopus_core.descriptions.schema import core_schema, node_definitions_schema
from occopus_core.installed import installed_plugins, usable_schemas

FOLDER = Path(__file__).parents[3] / "schemas"
NAMES = ["infrastructure", "node_definitions", "auth_data", "occopus_config"]


def test_the_files_in_the_repository_are_up_to_date():
    made = export.documents(usable_schemas(installed_plugins())) | {export.CATALOG: export.catalog(str)}
    assert made == {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}, "run: make schemas"


def test_the_catalogue_has_every_schema_with_patterns_that_no_other_one_has():
    found = json.loads(export.catalog(lambda name: f"https://here/{name}"))["schemas"]
    assert [one["url"] for one in found] == [f"https://here/{name}" for name in export.documents({})]
    patterns = [pattern for one in found for pattern in one["fileMatch"]]
    assert len(patterns) == len(set(patterns))
    assert all({"name", "description", "fileMatch", "url"} == one.keys() for one in found)


@pytest.mark.parametrize("name", NAMES)
def test_core_schemas_are_schemas(name):
    jsonschema.Draft7Validator.check_schema(core_schema(name))


@pytest.fixture
def editor(plugins):
    """What an editor thinks of a `resource` section of the made-up plugin."""
    schemas = {"resource": {"cloud": plugins.schema("resource", "cloud")}}
    schema = export.node_definitions(schemas)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)

    def check(**section):
        resource = {"type": "cloud", "endpoint": "https://c", **section}
        return validator.is_valid({"node_def:x": [{"resource": resource}]})

    return check


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"cpu": 2, "size": "small", "public": True, "disks": [{"gb": 1}, "volume-1"], "name": "x"},
        {"cpu": "{{variables.cpu}}", "size": "{% if x %}a{% endif %}", "public": "{{x}}", "zone": "{{x}}"},
        {"ssh_key_data": {"url": "file://key.pub"}, "endpoint": {"url": "file://endpoint.txt"}},
        {"endpoint": "{{variables.endpoint}}", "address": "{{getip('db')}}", "disks": [{"gb": "{{x}}"}]},
    ],
)
def test_an_editor_accepts(editor, section):
    assert editor(**section)


@pytest.mark.parametrize(
    "section",
    [
        {"cpu": "two"},
        {"cpu": 0},
        {"size": "huge"},
        {"endpoint": "cloud"},
        {"ssh_key_data": {"file": "key.pub"}},
        {"ssh_key_data": "rsa"},
        {"unknown": 1},
        {"type": "other"},
        {"disks": [{"gb": "x"}]},
        {"groups": "{{x}}"},
    ],
)
def test_an_editor_refuses(editor, section):
    assert not editor(**section)


@pytest.fixture
def whole(plugins):
    """What an editor thinks of a file, with the made-up plugins."""
    schemas = {"resource": {"cloud": plugins.schema("resource", "cloud")}}
    texts = {name: json.loads(text) for name, text in export.documents(schemas).items()}
    for schema in texts.values():
        jsonschema.Draft7Validator.check_schema(schema)

    def check(name, value):
        return jsonschema.Draft7Validator(texts[f"{name}.schema.json"]).is_valid(value)

    return check


IMPORT = {"url": "file://more.yaml"}
CLOUD = {"type": "cloud", "endpoint": "https://c"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("node_definitions", {"node_def:x": IMPORT}),
        ("node_definitions", {"node_def:x": [IMPORT]}),
        ("node_definitions", {"node_def:x": [{"resource": IMPORT, "contextualisation": IMPORT}]}),
        ("node_definitions", {"node_def:x": [{"resource": CLOUD, "health_check": IMPORT}]}),
        ("node_definitions", {"node_def:x": [{"resource": {**CLOUD, "disks": IMPORT}}]}),
        ("node_definitions", {"node_def:x": [{"resource": {**CLOUD, "disks": [IMPORT]}}]}),
        ("infrastructure", {"infra_name": "x", "nodes": IMPORT, "variables": IMPORT}),
        ("infrastructure", {"infra_name": "x", "nodes": [IMPORT, {"name": "a", "type": "b", "variables": IMPORT}]}),
    ],
)
def test_an_editor_accepts_what_is_behind_an_import(whole, name, value):
    assert whole(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("node_definitions", IMPORT),
        ("node_definitions", {"node_def:x": [{"resource": {**IMPORT, "image": "y"}}]}),
        ("node_definitions", {"node_def:x": [{"resource": {"url": 5}}]}),
        ("node_definitions", {"node_def:x": {"file": "more.yaml"}}),
        ("infrastructure", {"infra_name": "x", "nodes": [{**IMPORT, "name": "a"}]}),
        ("infrastructure", {"infra_name": "x", "nodes": []}),
    ],
)
def test_an_editor_refuses_what_only_looks_like_an_import(whole, name, value):
    assert not whole(name, value)


def test_references_of_a_plugin_lead_into_its_own_piece(plugins):
    schema = node_definitions_schema({"resource": {"cloud": plugins.schema("resource", "cloud")}})
    disks = schema["definitions"]["resource.cloud"]["properties"]["disks"]
    assert disks["items"] == {"$ref": "#/definitions/resource.cloud/definitions/disk"}
