"""A node definition that is written from the model makes an equal model when it is read."""

import dataclasses
from pathlib import Path

import pytest

from occopus_core.descriptions.definition_text import definition_text
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.registry import Registry

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").rglob("*nodes*.yaml"))
COMPLETE = [file for file in EXAMPLES if file.parent.name not in ("ansible", "chef", "following")]
"""Those that import no key which their README has users make first."""


def digests(definition):
    return [one.digest for one in definition.implementations]


@pytest.mark.parametrize("file", COMPLETE, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_examples(file):
    for definition in load_node_definitions(str(file), Registry()):
        (again,) = load_node_definitions(definition_text(definition), Registry(), name="again")
        assert (again.name, digests(again)) == (definition.name, digests(definition))


@pytest.mark.parametrize(
    "checks",
    [
        HealthCheck(),
        HealthCheck({"ping": True}, 30.0),
        HealthCheck({}, 0.5),
        HealthCheck({}, 30.0, 2.5),
        HealthCheck({"ports": [80]}, min_ready_seconds=10.0),
        HealthCheck({"ping": False, "ports": [80, "{{ variables.port }}"]}),
        HealthCheck({"ping": True, "ports": [80]}),
    ],
)
def test_health_checks(checks):
    made = NodeDefinition("web", (Implementation({"type": "local"}, None, None, checks),))
    (again,) = load_node_definitions(definition_text(made), Registry(), name="again")
    wanted = {key: value for key, value in checks.checks.items() if value is not False}
    assert again.implementations[0].health_check == dataclasses.replace(checks, checks=wanted)


def test_scalars_are_as_they_were_written():
    text = """\
node_def:web:
- resource: {type: local}
  contextualisation:
    type: cloudinit
    context_template: {write_files: [{path: /a, permissions: 0644, content: "010"}], "80": yes}
"""
    (made,) = load_node_definitions(text, Registry(), name="n.yaml")
    (again,) = load_node_definitions(definition_text(made), Registry(), name="again")
    assert digests(again) == digests(made)
    assert "permissions: 0644" in definition_text(made)
    assert "content: '010'" in definition_text(made)
