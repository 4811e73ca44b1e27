from __future__ import annotations

import pytest

from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.trust import refuse_commands


def definition(resource=None, text="plain", checks=None):
    context = {"type": "cloudinit", "context_template": [{"deep": text}]}
    implementation = Implementation({"type": "sim", **(resource or {})}, context, None, HealthCheck(checks or {}))
    return NodeDefinition("web", (Implementation({"type": "sim"}), implementation))


@pytest.mark.parametrize(
    "suspect",
    [
        definition(text="{{ cmd('id') }}"),
        definition(text="{% set run = cmd %}{{ run('id') }}"),
        definition(text="{% if false %}{{ [cmd][0]('id') }}{% endif %}"),
        definition(text="{{ cmd('id'"),
        definition(resource={"name": "{{ cmd ('id') }}"}),
        definition(checks={"urls": ["{{ cmd('id') }}"]}),
        definition(resource={"type": "local"}),
    ],
)
def test_what_runs_something_here_is_refused(suspect):
    with pytest.raises(DescriptionError) as refused:
        refuse_commands([suspect])
    assert refused.value.problems[0].path == "node_def:web[1]"


@pytest.mark.parametrize("text", ["plain", "{{ name }}", "cmd: [run]", "{% raw %}{{ cmd('id') }}{% endraw %}"])
def test_everything_else_is_not(text):
    refuse_commands([definition(text=text)])
