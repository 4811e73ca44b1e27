"""Node definitions become the model, checked by the plugins they use and by no others."""

import pytest

from occopus_core.api import SectionFault
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.template_inspection import inspect

FULL = """\
'node_def:web_node':
  - resource:
      name: my_cloud
      type: cloud
      endpoint: https://cloud.example.org
      cpu: "{{variables.cpu}}"
      public: "{{variables.public}}"
      size: "{% if variables.big %}large{% else %}small{% endif %}"
      zone: "{{variables.a_long_name}}"
      address: "{{getip('db')}}"
      ports: [80, "{{variables.port}}", 53/UDP]
      disks: [{gb: 5}, volume-1]
    contextualisation:
      type: cloudinit
      context_template: {runcmd: [echo, "{{name}}"]}
    config_management: {type: chef, endpoint: https://chef, run_list: [a]}
    health_check:
      type: basic
      ports: [80]
      timeout: 30
      min_ready_seconds: 5
  - resource: {type: container, image: a}
    contextualisation: {type: docker, env: [A=b]}
    health_check: {ping: false, ports: false}
node_def:db_node:
  - resource: {type: machine, password: "{{variables.password}}"}
"""


def definitions(text, plugins):
    return load_node_definitions(text, plugins, name="n.yaml")


def test_everything(plugins):
    web, db = definitions(FULL, plugins)
    assert web.name == "web_node"
    first, second = web.implementations
    assert first.resource["cpu"] == "{{variables.cpu}}"
    assert first.label == "my_cloud"
    assert first.contextualisation == {"type": "cloudinit", "context_template": {"runcmd": ["echo", "{{name}}"]}}
    assert first.config_management == {"type": "chef", "endpoint": "https://chef", "run_list": ["a"]}
    assert first.health_check == HealthCheck({"ping": True, "ports": [80]}, 30.0, 5.0)
    assert second.health_check == HealthCheck({}, 600.0, 0.0)
    password = {"type": "machine", "password": "{{variables.password}}"}
    assert db == NodeDefinition("db_node", (Implementation(password),))


def test_only_the_plugins_in_use_are_asked_and_each_once(plugins):
    text = "node_def:a:\n  - resource: {type: container, image: a}\n  - resource: {type: container, image: b}\n"
    definitions(text, plugins)
    assert plugins.asked == [("resource", "container")]


@pytest.mark.parametrize("off", ["false", "off"])
def test_a_check_that_is_switched_off_needs_no_plugin(plugins, off):
    text = f"node_def:a:\n  - resource: {{type: container, image: a}}\n    health_check: {{ldap: {off}, ping: false}}\n"
    (definition,) = definitions(text, plugins)
    assert definition.implementations[0].health_check.checks == {}
    with pytest.raises(DescriptionError, match="no checker 'ldap' is installed"):
        definitions(text + "  - resource: {type: container, image: b}\n    health_check: {ldap: true}\n", plugins)


def test_plugins_of_another_form_never_mix(plugins):
    with pytest.raises(DescriptionError, match="unknown key 'image'"):
        definitions("node_def:a:\n  - resource: {type: machine, password: x, image: a}\n", plugins)


def test_a_broken_plugin_is_not_hidden(plugins, monkeypatch):
    def broken(_kind, _name):
        raise ZeroDivisionError

    monkeypatch.setattr(plugins, "schema", broken)
    with pytest.raises(ZeroDivisionError):
        definitions(FULL, plugins)


def test_a_deprecated_key_gives_a_warning(plugins):
    warnings = []
    text = "node_def:a:\n  - resource: {type: machine, password: x, user: me}\n"
    load_node_definitions(text, plugins, name="n.yaml", warn=warnings.append)
    assert list(map(str, warnings)) == [
        "n.yaml:2:44: node_def:a[0].resource.user: the key 'user' is deprecated: give an ssh key in its place"
    ]


def test_without_deprecated_keys_there_is_no_warning(plugins):
    warnings = []
    load_node_definitions(FULL, plugins, name="n.yaml", warn=warnings.append)
    assert warnings == []


@pytest.mark.parametrize("key", ["{{ variables.x }}", "a{% if x %}b{% endif %}"])
def test_a_template_as_a_key_is_refused_with_its_place(plugins, key):
    text = (
        "node_def:web:\n- resource: {type: cloud, endpoint: 'http://x', name: n}\n  contextualisation:\n"
        "    type: cloudinit\n    context_template:\n"
        f"      write_files:\n      - '{key}': x\n        path: '{{{{ name }}}}'\n"
    )
    with pytest.raises(DescriptionError) as refused:
        definitions(text, plugins)
    assert str(refused.value) == (
        f"n.yaml:7:9: node_def:web[0].contextualisation.context_template.write_files[0].{key}: a key cannot be a "
        "template: only values are rendered, and a context_template that is a text"
    )
    definitions(text.replace(key, "{ key }"), plugins)


def test_secrets_are_in_no_message(plugins):
    secret = "hunter2-hunter2"
    text = f"""\
node_def:a:
  - resource: {{type: cloud, endpoint: https://c, password: [{secret}], ssh_key_data: {secret}, pin: {secret}}}
    health_check: {{mysqldbs: [{{name: n, user: u, pass: [{secret}]}}], ports: {{pass: {secret}}}}}
"""
    with pytest.raises(DescriptionError) as raised:
        definitions(text, plugins)
    assert len(raised.value.problems) == 5
    assert secret not in str(raised.value)
    assert secret not in repr(raised.value.problems)


def examined(folder, examine, plugins):
    (folder / "play.txt").write_text("a\nb\n")
    file = folder / "n.yaml"
    file.write_text(
        "node_def:a:\n  - resource: {type: container, image: a}\n"
        "    config_management: {type: chef, endpoint: !text_import {url: file://play.txt}, run_list: [b]}\n"
    )
    with pytest.raises(DescriptionError) as refused:
        load_node_definitions(str(file), plugins, examine=examine)
    return str(refused.value).replace(str(folder), "").splitlines()


def test_what_a_configuration_manager_finds_in_a_text_names_the_file_of_the_text(tmp_path, plugins):
    found = [
        SectionFault("endpoint", "no b", 2, 1),
        SectionFault("run_list", "no list", 3, 4),
        SectionFault("type", "no"),
    ]
    where = "node_def:a[0].config_management"
    assert examined(tmp_path, lambda _section: found, plugins) == [
        f"/n.yaml:3:31: {where}.type: no",
        f"/n.yaml:3:94: {where}.run_list: line 3, column 4 of the text: no list",
        f"/play.txt:2:1: {where}.endpoint: no b",
    ]


def test_a_configuration_manager_that_cannot_examine_is_named(tmp_path, plugins):
    def examine(section):
        raise LookupError(f"the configuration manager '{section['type']}' breaks its contract")

    (line,) = examined(tmp_path, examine, plugins)
    assert line.endswith("config_management.type: the configuration manager 'chef' breaks its contract")


def test_a_schema_in_which_validation_never_ends_is_one_fault(plugins, monkeypatch):
    endless = {"definitions": {"a": {"$ref": "#/definitions/a"}}, "properties": {"image": {"$ref": "#/definitions/a"}}}
    monkeypatch.setattr(plugins, "schema", lambda _kind, _name: endless)
    with pytest.raises(DescriptionError) as refused:
        definitions("node_def:a:\n  - resource: {type: cloud, image: a}\n", plugins)
    (line,) = map(str, refused.value.problems)
    assert line.endswith("the schema of a plugin that it uses, is nested too deeply to be checked")


def test_a_health_check_may_use_a_name_that_a_mapping_gives(plugins):
    text = "node_def:a:\n  - resource: {{type: container, image: {}}}\n    health_check: {{ports: ['{}']}}\n"
    load_node_definitions(text.format("a", "{{ db_port }}"), plugins, name="n.yaml", inspect=inspect)
    with pytest.raises(DescriptionError, match="'db_image' is undefined"):
        load_node_definitions(text.format("'{{ db_image }}'", 80), plugins, name="n.yaml", inspect=inspect)
