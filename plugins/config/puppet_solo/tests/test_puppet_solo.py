"""The template variables from a `puppet_solo` section."""

from __future__ import annotations

import jsonschema
import pytest

from occopus_config_puppet_solo import PuppetSolo
from occopus_core.api import ConfigNode, ConfigState, Connection, PermanentError
from occopus_core.render import Renderer

SECTION = {
    "manifests": ["http://a/init.pp", "http://b/site.pp"],
    "modules": ["puppetlabs-mysql", "puppetlabs-stdlib"],
    "attributes": [{"mysql::root": "secret"}],
}


def node(**section):
    return ConfigNode("installation", "i-1", "infra", "web", "n-1", "t-1", section, generation="g-1")


@pytest.fixture
def manager():
    return PuppetSolo(Connection("puppet_solo", {}, {}))


def rendered(manager, template, **section):
    render = Renderer(manager.template_variables(node(**section)), {}, "node 'web'")
    return render(template, at="contextualisation.context_template")


def test_a_shell_sees_words(manager):
    assert rendered(manager, "for m in {{puppet.modules}}; do", **SECTION) == (
        "for m in puppetlabs-mysql puppetlabs-stdlib; do"
    )
    assert rendered(manager, "{{puppet.manifests}}", **SECTION) == "http://a/init.pp http://b/site.pp"


def test_a_template_sees_lists(manager):
    template = "{% for m in puppet.manifests %}[{{m}}]{% endfor %}{{puppet.modules|length}}"
    assert rendered(manager, template, **SECTION) == "[http://a/init.pp][http://b/site.pp]2"


def test_attributes_are_mappings(manager):
    template = "{% for a in puppet.attributes %}{% for k, v in a.items() %}{{k}}={{v}}{% endfor %}{% endfor %}"
    assert rendered(manager, template, **SECTION) == "mysql::root=secret"


def test_missing_keys_are_empty(manager):
    assert rendered(manager, "<{{puppet.modules}}>{{puppet.attributes}}", manifests=["http://a"]) == "<>[]"


@pytest.mark.parametrize(
    "section",
    [{}, {"manifests": "http://a"}, {"manifests": [], "attributes": [{"a": 1, "b": 2}]}, {"manifests": [], "x": 1}],
)
def test_the_schema_refuses(section):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(PuppetSolo.schema()).validate(section)


@pytest.mark.parametrize("key", ["manifests", "modules"])
@pytest.mark.parametrize("item", ["", "two words", "line\nbreak"])
def test_white_space_is_refused_before_anything_is_made(manager, key, item):
    with pytest.raises(PermanentError, match=f"config_management.{key}: "):
        manager.check(node(**{"manifests": [], key: [item]}))


def test_it_is_ready_at_once(manager):
    status = manager.status([node(**SECTION)])["n-1"]
    assert (status.state, status.generation) == (ConfigState.READY, "g-1")
