from __future__ import annotations

import json

import pytest

from occopus_core.api import ConfigManager
from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.planning.trust import refuse_powers
from occopus_core.registry import Registry
from occopus_core.testing.memory import MemoryHandler


class Powerful(MemoryHandler):
    @classmethod
    def powers(cls, resource):
        return [f"it opens {door}" for door in resource.get("doors", ())]

    @classmethod
    def sources(cls, resource):
        return resource.get("sources", ())


class Touchy(MemoryHandler):
    """It has powers if it has an `a`, and fails without a name."""

    @classmethod
    def powers(cls, resource):
        return ["it opens doors"] if resource["name"] and "a" in resource else []


class Runner(ConfigManager):
    """A tool that runs what its section says on the server."""

    @classmethod
    def schema(cls):
        return {}

    def status(self, nodes):
        return {}

    @classmethod
    def powers(cls, section):
        return ["it runs a playbook on the server"] if "playbook" in section else []


class FileCloud(MemoryHandler):
    """A cloud of a third party: a file of the server, in an account and a region."""

    connection_keys = ("database", "account", "region")
    harmless_keys = ("region",)


class FileTool(Runner):
    """A tool of a third party with a file of the server."""

    connection_keys = ("state",)


REGISTRY = Registry(
    {
        ("resource", "powerful"): Powerful,
        ("resource", "file"): FileCloud,
        ("resource", "touchy"): Touchy,
        ("config", "runner"): Runner,
        ("config", "file"): FileTool,
    }
)


def refuse(suspect, *endpoints, credentials=None):
    refuse_powers([suspect], REGISTRY, endpoints, credentials or Credentials())


def definition(resource=None, text="plain", checks=None):
    context = {"type": "cloudinit", "context_template": [{"deep": text}]}
    implementation = Implementation({"type": "sim", **(resource or {})}, context, None, HealthCheck(checks or {}))
    return NodeDefinition("web", (Implementation({"type": "sim"}), implementation))


TEXT = "contextualisation.context_template[0].deep"


@pytest.mark.parametrize(
    ("suspect", "path"),
    [
        (definition(text="{{ cmd('id') }}"), TEXT),
        (definition(text="{% set run = cmd %}{{ run('id') }}"), TEXT),
        (definition(text="{% if false %}{{ [cmd][0]('id') }}{% endif %}"), TEXT),
        (definition(text="{{ cmd('id'"), TEXT),
        (definition(resource={"name": "{{ cmd ('id') }}"}), "resource.name"),
        (definition(checks={"urls": ["http://{{ip}}/", "{{ cmd('id') }}"]}), "health_check.urls[1]"),
        (definition(checks={"urls": ["http://{{ip}}/", "http://elsewhere/"]}), "health_check.urls[1]"),
        (definition(resource={"type": "local"}), "resource"),
        (definition(resource={"type": "powerful", "name": "x", "doors": ["the host"]}), "resource.doors"),
        (definition(resource={"type": "powerful", "name": "x", "sources": ["elsewhere"]}), "resource.sources"),
        (definition(resource={"type": "touchy", "name": "x", "a": 1}), "resource.a"),
    ],
)
def test_what_runs_something_here_is_refused(suspect, path):
    with pytest.raises(DescriptionError) as refused:
        refuse(suspect)
    assert refused.value.problems[0].path == f"node_def:web[1].{path}"


def test_a_power_and_a_source_are_refused_with_their_lines():
    text = """node_def:web:
  - resource:
      type: docker
      endpoint: unix:///run/docker.sock
      image: elsewhere.example/nginx
      volumes:
        - /:/host
    contextualisation:
      type: docker
      command: "run {{ cmd('id') }}"
"""
    loaded = load_node_definitions(text.encode(), Registry(), name="request", imports=False)
    with pytest.raises(DescriptionError) as refused:
        refuse_powers(loaded, Registry(), ["unix:///run/docker.sock"], Credentials())
    found = [(str(one.position), one.path.partition(".")[2]) for one in refused.value.problems]
    assert found == [
        ("request:10:7", "contextualisation.command"),
        ("request:6:7", "resource.volumes"),
        ("request:5:7", "resource.image"),
    ]


@pytest.mark.parametrize("text", ["plain", "{{ name }}", "cmd: [run]", "{% raw %}{{ cmd('id') }}{% endraw %}"])
def test_everything_else_is_not(text):
    refuse(definition(text=text))


def test_every_power_is_told():
    with pytest.raises(DescriptionError) as refused:
        refuse(definition(resource={"type": "powerful", "doors": ["the host", "the cellar"]}))
    assert [problem.message for problem in refused.value.problems] == [
        f"it opens {door}: occopus-import this definition on the server" for door in ("the host", "the cellar")
    ]
    refuse(definition(resource={"type": "powerful"}))


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/",
        "http://cloud.example@evil.example",
        "http://cloud.example.evil.example",
        "http://cloud.example/evil",
        "unix:///var/run/docker.sock",
        "",
    ],
)
def test_an_endpoint_that_nobody_vouched_for_is_refused(endpoint):
    with pytest.raises(DescriptionError, match="is not allowed: start the service with --endpoint"):
        refuse(definition(resource={"endpoint": endpoint}), "http://cloud.example", "unix:///run/other.sock")


def test_one_that_is_vouched_for_is_not():
    for endpoint in ("http://cloud.example", "http://cloud.example/"):
        refuse(definition(resource={"endpoint": endpoint}), "http://other.example", "http://cloud.example/")


def test_a_configuration_manager_is_called_as_well():
    manager = {"type": "runner", "endpoint": "http://10.0.0.1"}
    suspect = NodeDefinition("web", (Implementation({"type": "sim"}, None, manager),))
    with pytest.raises(DescriptionError, match=r"endpoint 'http://10\.0\.0\.1'"):
        refuse(suspect)
    refuse(suspect, "http://10.0.0.1")


@pytest.fixture
def entries(tmp_path):
    """The credentials of a file with these sections."""

    def read(**sections):
        file = tmp_path / "auth_data.yaml"
        file.write_text(json.dumps(sections))
        file.chmod(0o600)
        return Credentials.load(str(file))

    return read


def on_file(**keys):
    return NodeDefinition("web", (Implementation({"type": "file", **keys}, None, None, HealthCheck()),))


def managed(**keys):
    return NodeDefinition("web", (Implementation({"type": "sim"}, None, {"type": "file", **keys}, HealthCheck()),))


@pytest.mark.parametrize(
    ("suspect", "key", "value"),
    [
        (on_file(database="/root/x"), "database", "/root/x"),
        (on_file(database=""), "database", ""),
        (on_file(database=None), "database", None),
        (on_file(database=["/srv/cloud.db"]), "database", ["/srv/cloud.db"]),
        (on_file(database={"/srv/cloud.db": 1}), "database", {"/srv/cloud.db": 1}),
        (on_file(database="/srv/cloud.db.evil"), "database", "/srv/cloud.db.evil"),
        (on_file(account="root"), "account", "root"),
        (on_file(endpoint="http://evil"), "endpoint", "http://evil"),
        (managed(state="/etc/shadow"), "state", "/etc/shadow"),
    ],
)
def test_every_connection_key_needs_the_operators_leave_whatever_its_name(suspect, key, value):
    with pytest.raises(DescriptionError) as refused:
        refuse(suspect, "/srv/cloud.db")
    (problem,) = refused.value.problems
    assert problem.message.startswith(f"the {key} '{value}' is not allowed: start the service with --endpoint")


@pytest.mark.parametrize(
    "value",
    [
        "{{ variables.db }}",
        "/srv/{{ variables.db }}",
        "{% if true %}/srv/cloud.db{% endif %}",
        "/srv/cloud.db{# #}",
        ["{{ variables.db }}"],
        {"of": "{{ variables.db }}"},
    ],
)
def test_no_word_of_the_operator_allows_a_template(entries, value):
    entry = {"type": "file", "database": value, "auth_data": {"key": "k"}}
    named = entries(resource=[entry] if isinstance(value, str) else [])
    with pytest.raises(DescriptionError) as refused:
        refuse(on_file(database=value), str(value), credentials=named)
    (problem,) = refused.value.problems
    assert problem.message == (
        f"the database '{value}' is not allowed: a template is never allowed here: write the value itself, or "
        "occopus-import this definition on the server"
    )


def test_a_refusal_has_its_place_and_what_would_allow_it():
    text = (
        "node_def:web:\n- resource: {type: file}\n- resource:\n    type: file\n    database: a b\n    jump: {host: h}\n"
    )
    definitions = load_node_definitions(text.encode(), Anything(), name="request", imports=False)
    with pytest.raises(DescriptionError) as refused:
        refuse_powers(definitions, REGISTRY, (), Credentials())
    jump, database = map(str, refused.value.problems)
    assert jump.startswith("request:6:5: node_def:web[1].resource.jump: `jump` is refused: the service would log in")
    assert database.startswith("request:5:5: node_def:web[1].resource.database: the database 'a b' is not allowed: ")
    assert "start the service with --endpoint 'a b', which allows this value in other keys" in database


class Anything:
    """Schemas that accept these keys."""

    def schema(self, kind, name):
        return {"properties": {"type": {}, "database": {}, "jump": {}}}


def test_values_that_the_operator_named_and_harmless_keys_are_allowed(entries):
    for region in ("eu-1", "{{ variables.region }}"):
        refuse(on_file(database="/srv/cloud.db", region=region), "/srv/cloud.db")
    refuse(managed(state="/srv/state"), "/srv/state/")
    named = entries(
        resource=[{"type": "file", "database": "/srv/cloud.db", "account": 7, "auth_data": {"key": "k"}}],
        config_management=[{"state": "/srv/state", "auth_data": {"key": "k"}}],
    )
    refuse(on_file(database="/srv/cloud.db", account=7), credentials=named)
    refuse(managed(state="/srv/state"), credentials=named)


@pytest.mark.parametrize(
    "suspect",
    [
        on_file(account="/srv/cloud.db"),
        on_file(database="/srv/of-another"),
        on_file(database="/srv/state"),
        managed(state="/srv/cloud.db"),
    ],
)
def test_an_entry_allows_a_value_of_its_own_key_and_plugin_alone(entries, suspect):
    named = entries(
        resource=[
            {"type": "file", "database": "/srv/cloud.db", "auth_data": {"key": "k"}},
            {"type": "other", "database": "/srv/of-another", "auth_data": {"key": "k"}},
        ],
        config_management=[{"type": "file", "state": "/srv/state", "auth_data": {"key": "k"}}],
    )
    with pytest.raises(DescriptionError, match="is not allowed: start the service with --endpoint"):
        refuse(suspect, credentials=named)


JUMP = {"host": "10.0.0.1"}


@pytest.mark.parametrize(
    "suspect",
    [
        definition(resource={"jump": JUMP}),
        definition(resource={"jump": "{{ variables.way }}"}),
        definition(resource={"login": [{"jump": JUMP}]}),
        definition(checks={"ssh": {"jump": JUMP}}),
        NodeDefinition(
            "web",
            (Implementation({"type": "sim"}), Implementation({"type": "sim"}, None, {"type": "runner", "jump": JUMP})),
        ),
    ],
)
def test_a_host_on_the_way_is_refused_of_every_plugin(suspect):
    with pytest.raises(DescriptionError, match="`jump` is refused: the service would log in to its host"):
        refuse(suspect, "10.0.0.1")


def test_what_is_only_called_so_within_a_section_is_not():
    refuse(definition(resource={"moves": {"jump": "high"}}, checks={"ports": [22]}))


def test_the_powers_of_a_configuration_manager_are_refused():
    manager = {"type": "runner", "playbook": "id > /tmp/pwned"}
    suspect = NodeDefinition("web", (Implementation({"type": "sim"}, None, manager),))
    with pytest.raises(DescriptionError, match=r"it runs a playbook on the server: occopus-import"):
        refuse(suspect)


def fetching(source):
    implementation = Implementation({"type": "powerful", "sources": [source]}, None, None, HealthCheck())
    return NodeDefinition("n", (implementation,))


@pytest.mark.parametrize(
    "source",
    [
        "registry.example.org",
        "https://files.example.org/images/a.tar",
        "https://files.example.org/images/b/c.tar",
    ],
)
def test_sources_that_the_operator_has_allowed(source):
    refuse(fetching(source), "registry.example.org", "https://files.example.org/images/")


@pytest.mark.parametrize(
    "source",
    [
        "registry.example.org.evil.org",
        "https://files.example.org/",
        "https://files.example.org/images2/a.tar",
        "https://files.example.org/images/../secret",
        "https://files.example.org/images/%2e%2e/secret",
        "https://files.example.org/images/@evil.org",
        "https://files.example.org/images/{{ x }}",
        "{{ x }}",
        "http://169.254.169.254/latest",
    ],
)
def test_other_sources_are_refused_without_their_secrets(source):
    with pytest.raises(DescriptionError, match="fetching is not allowed from"):
        refuse(fetching(source), "registry.example.org", "https://files.example.org/images/", "")
    with pytest.raises(DescriptionError) as refused:
        refuse(fetching("http://me:SECRET@h/x?SECRET"))
    assert "SECRET" not in str(refused.value)
