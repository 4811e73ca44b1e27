"""The pair of files that is made from the schema of a resource handler."""

import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

import occopus_core.manager.example_files
from occopus_core.api import ContextForm, Feature
from occopus_core.cli import build, import_, output
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.manager.example_files import ExampleFiles, example_files
from occopus_core.registry import PluginError, Registry
from occopus_core.testing.memory import MemoryHandler

TYPES = sorted(entry_points(group="occopus.resource").names)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OCCOPUS_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setattr(output, "_redactors", [])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_handler_of_the_plugin_template_has_examples_of_what_is_required():
    kind = Path(__file__).parents[3] / "contrib" / "plugin-template" / "kinds" / "resource"
    schema = json.loads((kind / "schema.json.jinja").read_text("utf-8"))
    assert all(schema["properties"][key].get("examples") for key in schema["required"])


def test_there_are_handlers():
    assert {"docker", "ec2", "local", "nova", "sim"} <= set(TYPES)


@pytest.mark.parametrize("resource_type", TYPES)
def test_the_pair_of_every_handler_is_valid_and_can_be_planned_as_it_is(home, resource_type, capsys):
    assert import_.main(["--example", resource_type]) == 0
    names = capsys.readouterr().out.split()
    assert names == [f"{resource_type}.nodes.yaml", f"{resource_type}.infra.yaml"]
    assert import_.main(["--check", names[0]]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"Valid node definitions: {resource_type}_node\n", "")
    assert build.main(["--plan", "--nodes", *names]) == 0
    printed = capsys.readouterr()
    assert "1 to create" in printed.out
    assert "warning" not in printed.err


@pytest.mark.parametrize(
    ("type", "message"),
    [
        ("chef", "'chef' is a configuration manager, and examples are made for resource handlers: "),
        ("ssh", "occopus-plugins show config/ssh prints its keys"),
        ("cloudinit", "occopus-plugins show context/cloudinit prints its keys"),
        ("nosuch", "there is no resource handler 'nosuch'"),
    ],
)
def test_a_type_of_another_kind_is_named_as_such(type, message):
    with pytest.raises(PluginError, match=message):
        example_files(Registry(), type)


@pytest.mark.parametrize(("resource_type", "has_image"), [("docker", True), ("azure_aci", True), ("local", False)])
def test_the_command_of_an_image_is_named_only_where_there_are_images(resource_type, has_image):
    nodes = example_files(Registry(), resource_type).nodes
    assert "environment variables, and a command" in nodes
    assert ("that replaces the command of the image" in nodes) is has_image


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_key_is_there_once_needed_ones_without_a_comment(resource_type):
    schema = Registry().schema("resource", resource_type)
    text = example_files(Registry(), resource_type).nodes
    (implementation,) = yaml.safe_load(text)[f"node_def:{resource_type}_node"]
    current = [key for key, piece in schema["properties"].items() if not piece.get("deprecated")]
    for key in current:
        lines = [line for line in text.splitlines() if line.strip().removeprefix("# ").startswith(f"{key}:")]
        assert lines, key
        assert any(line.strip().startswith("#") for line in lines) is (key not in implementation["resource"])
    assert set(schema.get("required", ())) <= implementation["resource"].keys()


def handler(schema, forms=frozenset()):
    return type("Made", (MemoryHandler,), {"schema": classmethod(lambda _: schema), "context_forms": frozenset(forms)})


def made(schema, forms=frozenset()):
    """The resource section, and the texts."""
    registry = Registry({("resource", "made"): handler({"type": "object", **schema}, forms)})
    files = example_files(registry, "made")
    load_node_definitions(files.nodes, registry, name=files.nodes_file)
    return yaml.safe_load(files.nodes)["node_def:made_node"][0], files


def text(description="What it is.", **more):
    return {"type": "string", "description": description, **more}


def test_values_come_from_the_schema():
    properties = {
        "one": text(examples=["{{ variables.x }}", "plain"]),
        "two": text(default="given"),
        "three": text(enum=["a", "b"]),
        "four": {"type": "integer", "minimum": 5, "description": "x"},
        "five": {"type": ["string", "number"], "description": "x"},
        "six": {"type": "array", "items": text(), "minItems": 1, "description": "x"},
        "seven": {"type": "object", "properties": {"a": text(examples=["b"]), "c": text()}, "description": "x"},
        "eight": {"type": "boolean", "description": "x"},
    }
    section = made({"properties": properties, "required": list(properties)})[0]["resource"]
    del section["type"]
    assert section == {
        "one": "plain",
        "two": "given",
        "three": "a",
        "four": 5,
        "five": "<five>",
        "six": ["<six>"],
        "seven": {"a": "b"},
        "eight": False,
    }


def test_the_keys_of_an_alternative_that_has_examples_are_there():
    properties = {"password": text(), "key": text(examples=["ssh-ed25519 A"]), "user": text(examples=["me"])}
    branches = [{"required": ["password"]}, {"required": ["key"]}]
    section = made({"properties": properties, "anyOf": branches, "dependencies": {"key": ["user"]}})[0]["resource"]
    assert section == {"type": "made", "key": "ssh-ed25519 A", "user": "me"}


def test_an_example_of_the_whole_section_comes_first():
    properties = {"kind": text(examples=["x"]), "port": {"type": "integer", "description": "x"}}
    schema = {"properties": properties, "required": ["kind"], "examples": [{"port": 80}]}
    assert made(schema)[0]["resource"] == {"type": "made", "kind": "x", "port": 80}


def test_variables_of_the_values_are_in_the_description():
    properties = {"password": text(examples=["{{ variables.my_password }}"])}
    described = yaml.safe_load(made({"properties": properties, "required": ["password"]})[1].infrastructure)
    assert described["variables"] == {"greeting": "hello", "my_password": "<my_password>"}


@pytest.mark.parametrize(
    ("forms", "context"),
    [
        (set(), None),
        ({ContextForm.USER_DATA}, "cloudinit"),
        ({ContextForm.PROCESS}, "docker"),
        ({ContextForm.PROCESS, ContextForm.USER_DATA}, "docker"),
    ],
)
def test_the_contextualisation_is_one_that_the_handler_passes_on(forms, context):
    assert made({"properties": {}}, forms)[0].get("contextualisation", {}).get("type") == context


def test_a_description_cannot_break_out_of_its_comment():
    properties = {"one": text("First line.\nnode_def:evil:\n- x: {{ y }} {z}", examples=["a"])}
    (implementation, _) = made({"properties": properties, "required": ["one"], "description": "a\nb: {c}"})
    assert implementation["resource"] == {"type": "made", "one": "a"}


def test_files_that_exist_are_left(home, capsys):
    (home / "local.infra.yaml").write_text("mine")
    assert import_.main(["--example", "local"]) == 2
    assert capsys.readouterr().err == "error: local.infra.yaml: it is there already, and is not replaced\n"
    assert (home / "local.infra.yaml").read_text() == "mine"
    assert not (home / "local.nodes.yaml").exists()


def test_whole_files_are_written_or_none(home, monkeypatch):
    made = ExampleFiles("a.nodes.yaml", "fine", "a.infra.yaml", "half \ud800")
    monkeypatch.setattr(occopus_core.manager.example_files, "example_files", lambda *_: made)
    with pytest.raises(UnicodeEncodeError):
        import_.main(["--example", "a"])
    assert not list(home.glob("a.*"))


def test_a_type_that_is_not_installed_is_named_with_those_that_are(home, capsys):
    assert import_.main(["--example", "dockr"]) == 2
    said = "there is no resource handler 'dockr' (did you mean 'docker'?); installed are: "
    assert said in capsys.readouterr().err
    with pytest.raises(PluginError):
        example_files(Registry(), "dockr")


def test_an_example_says_that_names_of_node_definitions_are_shared():
    assert "# All infrastructures of a store share its node definitions: " in example_files(Registry(), "docker").nodes


def test_the_grace_of_an_example_is_the_one_of_the_handler():
    made = type("Stops", (MemoryHandler,), {"features": frozenset({Feature.STOP}), "stop_seconds": 7})
    text = example_files(Registry({("resource", "stops"): made}), "stops").nodes
    assert "      # stop_seconds: 7\n" in text
