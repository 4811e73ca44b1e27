"""Descriptions as people have them: the project's own examples, and published ones where they are."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.constructor import SafeConstructor

from occopus_core.contextualisers.cloudinit import CloudInit
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.loader import load
from occopus_core.render import Renderer
from occopus_core.template_functions import cut
from occopus_core.templates_1x import Templates1x
from tests.unit.compatibility import reference

ROOT = Path(__file__).parents[3]
PUBLISHED = Path(os.environ.get("OCCOPUS_DESCRIPTIONS", ROOT.parent / "shared" / "descriptions"))
FOLDERS = [folder for folder in (ROOT / "examples", PUBLISHED) if folder.is_dir()]
OWN = ("!yaml_import", "!text_import")


def address(_node: Any) -> str:
    return "192.0.2.7"


def addresses(_node: Any) -> list[str]:
    return ["192.0.2.7", "192.0.2.8"]


NAMES = {
    "infra_id": "0123456789",
    "node_id": "id-of-a-node",
    "getip": address,
    "getprivip": address,
    "getipall": addresses,
    "cut": cut,
    "puppet": {"manifests": "m", "modules": "n", "attributes": [{"a": 1}, {"b": "2"}]},
}


def read_with_imports(path: Path) -> Any:
    """The file as a reader of 1.x, with its import tags followed."""

    class Constructor(SafeConstructor):
        pass

    def imported(constructor: Any, node: Any) -> Any:
        url = constructor.construct_mapping(node)["url"].removeprefix("file://")
        file = path.parent / url
        return read_with_imports(file) if node.tag == OWN[0] else file.read_text()

    for tag in OWN:
        Constructor.add_constructor(tag, imported)
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = Constructor
    return reader.load(path.read_text())


def files_with(words: str, folders: Iterable[Path]) -> list[Path]:
    """The YAML files below these folders that have a line which begins so."""
    files = sorted(path for folder in folders for path in folder.rglob("*.y*ml"))
    return [path for path in files if re.search(f"^['\"]?{words}", path.read_text(), re.MULTILINE)]


INFRASTRUCTURES = files_with("infra_name", FOLDERS)


def is_complete(path: Path) -> bool:
    """False for an example whose keys are made when it is tried out."""
    urls = re.findall(r"file://([^\s}'\"]+)", "".join(each.read_text() for each in path.parent.rglob("*.y*ml")))
    return all(any((folder / url).exists() for folder in (path.parent, path.parent / "nodes")) for url in urls)


COMPLETE = [path for path in INFRASTRUCTURES if is_complete(path)]


def compared(path: Path) -> int:
    """How many context templates of a description are equal; one that 1.x could not render does not count."""
    infrastructure = load_infrastructure(str(path), warn=lambda _: None)
    found = read_with_imports(path)
    count = 0
    for node, raw in zip(infrastructure.nodes, found["nodes"], strict=True):
        variables = {**(found.get("variables") or {}), **(raw.get("variables") or {})}
        scope = {**NAMES, "infra_name": infrastructure.name, "name": node.name, "user_id": infrastructure.user_id}
        render = Renderer({**scope, "variables": node.variables}, {}, "", manners=Templates1x([], former=True))
        for file in files_with("node_def:", [path.parent]):
            key = f"node_def:{node.type}"
            ours, theirs = load(str(file)).data.get(key, []), read_with_imports(file).get(key, [])
            for implementation, former in zip(ours, theirs, strict=True):
                section = implementation.get("contextualisation", {})
                if not isinstance(section.get("context_template"), dict) or "ssh" in section:
                    continue  # a text is passed on as it is; 1.x knew no host keys
                try:
                    wanted = rendered(former["contextualisation"]["context_template"], scope | {"variables": variables})
                except (jinja2.TemplateError, YAMLError):
                    continue
                user_data = CloudInit().contextualise(section, render).user_data
                assert reference.read(user_data) == wanted, f"{file}: {node.name}"
                count += 1
    return count


def rendered(template: Any, names: dict[str, Any]) -> Any:
    stream = io.StringIO()
    reference.reader().dump(template, stream)
    return reference.read(jinja2.Environment().from_string(stream.getvalue()).render(**names))


@pytest.mark.parametrize("path", COMPLETE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_context_templates_are_what_they_were(path):
    assert compared(path) >= 0


def test_there_is_something_to_compare():
    own = [path for path in COMPLETE if ROOT in path.parents]
    assert sum(map(compared, own)) >= 8
    assert len(COMPLETE) * 2 >= len(INFRASTRUCTURES), "most examples import nothing that is made when they are tried"
