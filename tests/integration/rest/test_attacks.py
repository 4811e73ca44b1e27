"""Attacks on the REST service, and the answer to each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.plugins import put

pytestmark = pytest.mark.integration

REPORT = "/infrastructures/trial"
NODES = "infra_name: a\nuser_id: me\nnodes: [{name: w, type: worker, variables: {x: %s}}]\n"
BOMB = "infra_name: a\nvariables:\n  l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
CLOUD, ENGINE = "http://127.0.0.1:1", "tcp://engine.example:2376"
DEFINITION = f"node_def:evil:\n- resource: {{{{type: {{type}}, endpoint: '{CLOUD}'}}}}\n  {{rest}}\n"
SCRIPT = "contextualisation: {type: cloudinit, context_template: '%s'}"

BODIES = [
    ("a file of the server", "POST", "/infrastructures/", NODES % '!text_import {url: "file:///etc/passwd"}', 422),
    ("a YAML file of the server", "POST", "/infrastructures/", NODES % '!yaml_import {url: "file:///etc/hosts"}', 422),
    ("another server", "POST", "/infrastructures/", NODES % '!text_import {url: "http://127.0.0.1:1/"}', 422),
    ("an object of Python", "POST", "/infrastructures/", NODES % '!!python/object/apply:os.system ["id"]', 422),
    ("an alias bomb", "POST", "/infrastructures/", BOMB, 422),
    ("too deeply nested", "POST", "/infrastructures/", NODES % ("[" * 5000 + "]" * 5000), 422),
    ("too large", "POST", "/infrastructures/", "#" * (2**20 + 1), 413),
    ("not UTF-8", "POST", "/infrastructures/", b"\xff\xfe", 422),
    ("nothing", "POST", "/infrastructures/", b"", 422),
    ("a command", "PUT", "/node_definitions/", DEFINITION.format(type="sim", rest=SCRIPT % '{{ cmd("id") }}'), 422),
    (
        "a command by another name",
        "PUT",
        "/node_definitions/",
        DEFINITION.format(type="sim", rest=SCRIPT % '{% set run = cmd %}{{ run("id") }}'),
        422,
    ),
    ("a path in an id", "GET", "/infrastructures/..%2f..%2fetc%2fpasswd", None, 404),
    ("dots as an id", "GET", "/infrastructures/%2e%2e", None, 404),
    ("a NUL in an id", "GET", "/infrastructures/a%00b", None, 404),
    ("half a character in an id", "GET", "/infrastructures/%ed%a0%80", None, 404),
    ("a newline in an id", "DELETE", "/infrastructures/a%0d%0aSet-Cookie:x", None, 404),
    ("SQL in an id", "GET", "/infrastructures/'%20OR%201=1--", None, 404),
    ("a count that is too large", "POST", f"{REPORT}/scaleto/web/99999999999999999999", b"", 422),
    ("a negative count", "POST", f"{REPORT}/scaleto/web/-1", b"", 422),
    ("a node that is not there", "POST", f"{REPORT}/scaleup/nobody", b"", 404),
]


@pytest.fixture(scope="module")
def open_service(module_workspace, serve):
    # It allows these endpoints, so that requests are not refused because of them.
    with serve(module_workspace, "--endpoint", CLOUD, "--endpoint", ENGINE) as (_, client):
        yield client


@pytest.mark.parametrize(("what", "method", "path", "body", "status"), BODIES, ids=[row[0] for row in BODIES])
def test_attacks(open_service, what, method, path, body, status):
    answer = open_service.call(method, path, body)
    assert answer.status == status, (what, answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "root:" not in answer.text
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert open_service.get("/readyz").status == 200


def test_a_playbook_from_the_network_is_refused(open_service):
    config = "config_management: {type: ansible, playbook: /srv/site.yml}"
    answer = open_service.call("PUT", "/node_definitions/", DEFINITION.format(type="sim", rest=config))
    assert answer.status == 422
    assert "an Ansible playbook can run any program on the server" in answer.text


TEMPLATE = "the endpoint '{}' is not allowed: a template is never allowed here"
STRANGER = "the endpoint '{}' is not allowed: start the service with --endpoint"
DEFINITIONS = {
    "an address that only the server reaches": (
        "{type: sim, endpoint: 'http://169.254.169.254/'}",
        STRANGER.format("http://169.254.169.254/"),
    ),
    "a port of the server": (
        "{type: docker, endpoint: 'tcp://127.0.0.1:2375', image: i}",
        STRANGER.format("tcp://127.0.0.1:2375"),
    ),
    "a socket of the server": (
        "{type: docker, endpoint: 'unix:///var/run/docker.sock', image: i}",
        STRANGER.format("unix:///var/run/docker.sock"),
    ),
    "a template for an endpoint": ("{type: sim, endpoint: \"{{ 'http://x' }}\"}", TEMPLATE.format("{{ 'http://x' }}")),
    "programs of the server": ("{type: local}", "it runs programs of the server"),
    "the disk of an engine's machine": (
        f"{{type: docker, endpoint: '{ENGINE}', image: i, volumes: ['/:/host']}}",
        "volumes: '/:/host' is or may be a folder of the engine's machine",
    ),
    "a template for a volume": (
        f"{{type: docker, endpoint: '{ENGINE}', image: i, volumes: ['{{{{ variables.v }}}}']}}",
        "volumes: '{{ variables.v }}' is or may be",
    ),
    "an image from a server that only the engine reaches": (
        f"{{type: docker, endpoint: '{ENGINE}', image: nginx, tag: '1.27', origin: 'http://10.77.6.1:8998/fs.tar'}}",
        "fetching is not allowed from 'http://10.77.6.1:8998/fs.tar'",
    ),
    "a registry that only the engine reaches": (
        f"{{type: docker, endpoint: '{ENGINE}', image: '127.0.0.1:8999/x', tag: z}}",
        "fetching is not allowed from '127.0.0.1:8999'",
    ),
    "the network of an engine's machine": (
        f"{{type: docker, endpoint: '{ENGINE}', image: i, network: host}}",
        "network: 'host' is or may be the network of the engine's machine",
    ),
}

KEYS = {
    "programs of the server": "resource",
    "the disk of an engine's machine": "resource.volumes",
    "a template for a volume": "resource.volumes",
    "an image from a server that only the engine reaches": "resource.origin",
    "a registry that only the engine reaches": "resource.image",
    "the network of an engine's machine": "resource.network",
}
"""The path of each key except the endpoint."""


@pytest.mark.parametrize("what", DEFINITIONS)
def test_a_definition_from_the_network_reaches_its_nodes_only(open_service, what):
    resource, reason = DEFINITIONS[what]
    context = "contextualisation: {type: docker, env: [], command: ''}" if "docker" in resource else ""
    text = f"node_def:evil:\n- resource: {resource}\n  {context}\n"
    answer = open_service.call("PUT", "/node_definitions/", text)
    assert answer.status == 422
    (fault,) = answer.json["errors"]
    assert fault["path"] == f"node_def:evil[0].{KEYS.get(what, 'resource.endpoint')}"
    assert fault["position"].startswith("request:2:")
    assert fault["message"].startswith(reason)
    assert open_service.get("/node_definitions/evil").status == 404


def test_only_allowed_endpoints_or_those_with_credentials_may_be_named(ready, cloud, new_cloud, serve, until):
    """And of what it may not name not even one call arrives."""
    auth_data = ready.write(
        "auth.yaml",
        json.dumps({"resource": [{"type": "sim", "endpoint": "http://known.example", "auth_data": {"api_key": "k"}}]}),
    )
    Path(auth_data).chmod(0o600)
    with (
        new_cloud() as stranger,
        serve(ready, "--endpoint", cloud.endpoint, "--auth_data_path", auth_data) as (_, client),
    ):
        before = stranger.calls()
        refused = client.call("PUT", "/node_definitions/", stranger.definitions("stray"))
        assert (refused.status, stranger.calls()) == (422, before)
        known = cloud.definitions("own", endpoint="http://known.example")
        assert client.call("PUT", "/node_definitions/", known).json == {"node_definitions": ["own"]}
        assert client.call("PUT", "/node_definitions/", cloud.definitions("own")).status == 200
        description = {"user_id": "me", "infra_name": "mine", "nodes": [{"name": "w", "type": "own"}]}
        infra_id = client.post("/infrastructures/", json.dumps(description)).json["infraid"]
        until(lambda: client.get(f"/infrastructures/{infra_id}/outline").json["instances"] == {"ready": 1})
        assert len(cloud.machines(infra_id)) == 1


FILE_CLOUD = """
from pathlib import Path

from occopus_core.api.ssh import LOGIN_PROPERTIES
from occopus_core.testing.memory import MemoryHandler

class FileCloud(MemoryHandler):
    connection_keys = ("database", "region")
    harmless_keys = ("region",)

    def __init__(self, connection):
        Path(__file__).with_name("made").write_text(str(connection.settings))
        super().__init__(connection)

    @classmethod
    def schema(cls):
        text = {"type": "string", "description": "A text."}
        return {"type": "object", "properties": {**LOGIN_PROPERTIES, "database": text, "region": text}}
"""
TEMPLATED = "{{ variables.x }}"


def test_a_plugin_of_a_third_party_is_safe_without_a_word_of_its_own(workspace, serve):
    """Its connection keys, and hosts on the way, are refused unless the operator has allowed the value."""
    folder = workspace.folder / "installed"
    folder.mkdir()
    put(folder, "of-files", "files", "files_cloud:FileCloud", FILE_CLOUD, kind="resource")
    workspace.environ["PYTHONPATH"] = str(folder)
    entry = {"type": "files", "database": "/srv/known.db", "auth_data": {"key": "k"}}
    others = [{**entry, "type": "x", "database": "/o"}, {**entry, "database": TEMPLATED}]
    auth_data = workspace.write("auth.yaml", json.dumps({"resource": [entry, *others]}))
    Path(auth_data).chmod(0o600)
    with serve(workspace, "--endpoint", "/srv/cloud.db", "--auth_data_path", auth_data) as (_, client):

        def put_one(keys):
            text = json.dumps({"node_def:own": [{"resource": {"type": "files", **keys}}]})
            answer = client.call("PUT", "/node_definitions/", text)
            return answer.status, [problem["message"] for problem in answer.json.get("errors", ())]

        status, messages = put_one({"database": TEMPLATED})
        assert (status, len(messages)) == (422, 1)
        assert messages[0].startswith(f"the database '{TEMPLATED}' is not allowed: a template is never allowed here")
        for value in ("/root/x", "/srv/cloud.db/../x", "/o"):
            status, messages = put_one({"database": value})
            assert (status, len(messages)) == (422, 1)
            assert messages[0].startswith(
                f"the database '{value}' is not allowed: start the service with --endpoint {value},"
            )
        status, messages = put_one({"database": "/srv/cloud.db", "jump": {"host": "/srv/cloud.db"}})
        assert (status, len(messages)) == (422, 1)
        assert messages[0].startswith("`jump` is refused")
        assert client.get("/node_definitions/own").status == 404
        for value in ("/srv/cloud.db", "/srv/known.db"):
            assert put_one({"database": value, "region": "any", "user": "me", "port": 2222}) == (200, [])
    assert not (folder / "made").exists()


def test_templates_in_variables_stay_text(open_service, until):
    answer = open_service.post("/infrastructures/", NODES % "\"{{ cmd('touch /tmp/occopus-pwned') }}{{ 7 * 7 }}\"")
    assert answer.status == 201
    path = f"/infrastructures/{answer.json['infraid']}"
    until(lambda: "ready" in str(open_service.get(path).text))
    assert open_service.delete(path).status == 200
    assert not Path("/tmp/occopus-pwned").exists()


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}],
    ids=["a page of another server", "a page without an origin", "a name that leads here"],
)
def test_a_page_in_a_users_browser_may_not_act(open_service, headers):
    assert open_service.post(f"{REPORT}/scaleup/web", **headers).status == 403


def test_a_header_cannot_be_injected(open_service):
    answer = open_service.get("/healthz", X_Request_Id="a b")
    assert answer.headers["X-Request-Id"] != "a b"
