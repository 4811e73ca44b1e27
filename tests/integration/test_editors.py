"""What editors show: yaml-language-server with the catalogue of docs/editors.md, on every description there is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from .language_server import FORMER_TAGS, TAGS, LanguageServer, served

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PUBLISHED = Path(os.environ.get("OCCOPUS_DESCRIPTIONS", ROOT.parent / "shared" / "descriptions"))
"""Descriptions that were published for 1.x; the test is skipped where there are none."""


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


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published descriptions of 1.x")
def test_published_descriptions_are_marked_for_their_placeholders_alone(editor):
    for path in files(PUBLISHED):
        text = path.read_text()
        lines = {number for number, line in enumerate(text.splitlines(), 1) if " endpoint: replace_with" in line}
        marked = {number for number, _ in editor.marks(str(path), text)}
        assert marked <= lines, path
        assert marked or not lines, path
        place = "unix:///var/run/docker.sock" if "docker" in path.parts[-3] else "https://cloud.example.org"
        filled = re.sub(r"( endpoint: )replace_with\w+", rf"\g<1>{place}", text)
        assert editor.marks(f"/filled{path}", filled) == [], path


def test_values_and_keys_that_are_wrong_are_marked(editor):
    section = "'node_def:web':\n  - resource:\n      type: local\n      rot: 5\n"
    assert editor.marks("/a/nodes.yaml", section) == [(4, "Property rot is not allowed.")]
    described = "user_id: me\ninfra_name: x\nnodes:\n  - name: web\n    type: web\n    scaling: {min: many}\n"
    ((line, message),) = editor.marks("/a/infra.yaml", described)
    assert line == 6
    assert "Incorrect type" in message


def test_the_tags_are_those_that_the_documents_name():
    text = (ROOT / "docs" / "editors.md").read_text()
    assert text.count(", ".join(f'"{tag}"' for tag in TAGS)) == 2, "for VS Code and for Neovim"
    assert ", ".join(f"`{tag}`" for tag in FORMER_TAGS) in " ".join(text.split())
