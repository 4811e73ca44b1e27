"""Editors: yaml-language-server with the catalogue of docs/editors.md, on every description."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .language_server import FORMER_TAGS, TAGS, LanguageServer, served

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PUBLISHED = Path(os.environ.get("OCCOPUS_DESCRIPTIONS", ROOT.parent / "shared" / "descriptions"))
"""Published descriptions for 1.x; without them the test is skipped."""


BIN = Path(sys.executable).parent
LONGEST = 600.0
"""Seconds after which a program counts as stuck."""


def run(*words, **environ):
    words = [str(word) for word in words]
    subprocess.run(words, env={**os.environ, **environ}, check=True, capture_output=True, timeout=LONGEST)


@pytest.fixture(scope="module")
def editor_of_plugins(tmp_path_factory):
    """An editor with the schemas that are written once two plugins of a third party have been installed."""
    folder = tmp_path_factory.mktemp("third-party")
    made = [folder / f"occopus-{kind}-acme" for kind in ("resource", "config")]
    for path in made:
        run(BIN / "occopus-plugins", "new", path.name.split("-")[1], "acme", "--output", path)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", folder / "site"]
    run(sys.executable, "-m", "pip", "install", *options, *made)
    run(BIN / "occopus-plugins", "schema", "--output", folder / "schemas", PYTHONPATH=str(folder / "site"))
    with served(folder / "schemas") as catalog, LanguageServer(catalog) as server:
        yield server


@pytest.fixture(scope="module")
def editor():
    with served(ROOT / "schemas") as catalog, LanguageServer(catalog) as server:
        yield server


def files(folder):
    return sorted(path for ending in ("yaml", "yml") for path in folder.rglob(f"*.{ending}"))


def test_the_examples_are_not_marked(editor):
    examples = files(ROOT / "examples")
    assert {"infra.yaml", "nodes.yaml", "auth_data.yaml"} <= {path.name for path in examples}
    marked = {str(path): editor.marks(str(path), path.read_text()) for path in examples}
    assert {path: found for path, found in marked.items() if found} == {}


def test_a_mistake_in_any_example_is_marked(editor):
    """The catalogue knows them by their names: an unknown key at the top of each is found."""
    for path in files(ROOT / "examples"):
        if path.name in ("infra.yaml", "nodes.yaml"):
            marks = editor.marks(f"/mistaken{path}", f"no_such_key: 1\n{path.read_text()}")
            assert 1 in {line for line, _ in marks}, path


CHECKED = re.compile(r"\b(endpoint|location|libdrive_id) *: replace_with\w+")
"""The placeholders that a schema can tell from a value."""


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published descriptions of 1.x")
def test_published_descriptions_are_marked_for_their_placeholders_alone(editor):
    for path in files(PUBLISHED):
        text = path.read_text()
        lines = {number for number, line in enumerate(text.splitlines(), 1) if CHECKED.search(line)}
        marked = {number for number, _ in editor.marks(str(path), text)}
        assert marked <= lines, path
        assert marked or not lines, path
        place = "unix:///var/run/docker.sock" if "docker" in path.parts[-3] else "https://cloud.example.org"
        values = {"endpoint": place, "location": "westeurope", "libdrive_id": "4a3f7f0e-0000-4000-8000-000000000001"}
        filled = text
        for key, value in values.items():
            filled = re.sub(rf"\b{key} *: replace_with\w+", f"{key}: {value}", filled)
        assert editor.marks(f"/filled{path}", filled) == [], path


def test_values_and_keys_that_are_wrong_are_marked(editor):
    section = "'node_def:web':\n  - resource:\n      type: local\n      rot: 5\n"
    assert editor.marks("/a/nodes.yaml", section) == [(4, "Property rot is not allowed.")]
    described = "user_id: me\ninfra_name: x\nnodes:\n  - name: web\n    type: web\n    scaling: {min: many}\n"
    ((line, message),) = editor.marks("/a/infra.yaml", described)
    assert line == 6
    assert "Incorrect type" in message


RESOURCE = """\
'node_def:web':
  - resource:
      type: acme
      endpoint: /srv/cloud
      size: 2
    config_management:
      type: acme
      endpoint: /srv/orders
      roles: [web]
"""


def test_a_plugin_of_a_third_party_is_checked_as_soon_as_it_is_installed(editor_of_plugins, editor):
    assert editor_of_plugins.marks("/new/nodes.yaml", RESOURCE) == []
    wrong = RESOURCE.replace("size: 2", "size: large").replace("roles: [web]", "roles: web\n      rolls: []")
    marks = editor_of_plugins.marks("/wrong/nodes.yaml", wrong)
    assert sorted(line for line, _ in marks) == [5, 9, 10]
    assert (10, "Property rolls is not allowed.") in marks
    assert (5, "is not of the type integer, and not a template") in marks
    less = editor_of_plugins.marks("/less/nodes.yaml", RESOURCE.replace("      endpoint: /srv/cloud\n", ""))
    assert [message for _, message in less] == ['Missing property "endpoint".']
    assert editor.marks("/other/nodes.yaml", RESOURCE), "without the plugin its type is marked"


def test_a_plugin_of_a_third_party_has_hover_and_completion(editor_of_plugins):
    path = "/hover/nodes.yaml"
    editor_of_plugins.marks(path, RESOURCE)
    shown = [editor_of_plugins.at("hover", path, line, 8)["contents"]["value"] for line in (4, 5, 9)]
    for text, said in zip(shown, described("resource", "endpoint", "size") + described("config", "roles"), strict=True):
        assert said in text.replace("\\", "")
    path = "/completion/nodes.yaml"
    editor_of_plugins.marks(path, RESOURCE.replace("      size: 2\n", "      \n"))
    offered = {one["label"] for one in editor_of_plugins.at("completion", path, 5, 7)["items"]}
    assert {"size", "name"} <= offered
    assert "roles" not in offered, "a key of another section"
    path = "/type/nodes.yaml"
    editor_of_plugins.marks(path, "'node_def:web':\n  - resource:\n      type: \n")
    offered = {one["label"] for one in editor_of_plugins.at("completion", path, 3, 13)["items"]}
    assert {"acme", "local", "docker"} <= offered


def described(kind, *keys):
    """What the template says of keys of a plugin."""
    template = (ROOT / "contrib" / "plugin-template" / "kinds" / kind / "schema.json.jinja").read_text()
    return [json.loads(template)["properties"][key]["description"] for key in keys]


def test_the_tags_are_those_that_the_documents_name():
    text = (ROOT / "docs" / "editors.md").read_text()
    assert text.count(", ".join(f'"{tag}"' for tag in TAGS)) == 2, "for VS Code and for Neovim"
    assert ", ".join(f"`{tag}`" for tag in FORMER_TAGS) in " ".join(text.split())
