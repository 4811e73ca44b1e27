"""Permissions and rate limits of the REST service."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.integration

REPORT = "/infrastructures/trial"


@pytest.fixture(scope="module")
def open_service(module_workspace, serve):
    """A service that is started before tokens exist."""
    with serve(module_workspace) as (_, client):
        yield client


@pytest.fixture(scope="module")
def tokens(module_workspace):
    def make(scope, *more):
        return module_workspace.ready("rest-service", "token", "create", "--name", "t", "--scope", scope, *more)

    made = {scope: make(scope).stdout.strip() for scope in ("read", "scale", "write")}
    made["vm"] = make("scale", "--infra", "trial").stdout.strip()
    made["foreign"] = make("write", "--infra", "another").stdout.strip()
    made["revoked"] = make("write").stdout.strip()
    module_workspace.ready("rest-service", "token", "revoke", made["revoked"].split("_")[1])
    made["wrong"] = made["write"][:-1] + ("A" if made["write"][-1] != "A" else "B")
    made["garbage"] = "x" * 5000
    made[None] = None
    return made


@pytest.fixture(scope="module")
def guarded(open_service, module_workspace, tokens, serve):
    with serve(module_workspace, "--host", "0.0.0.0", "--max-body", "1000", "--rate", "5000") as (_, client):
        yield client


CALLS = {
    "list": ("GET", "/infrastructures/"),
    "report": ("GET", REPORT),
    "scale": ("POST", f"{REPORT}/scaleto/web/1"),
    "detach": ("POST", f"{REPORT}/detach"),
    "replace": ("POST", f"{REPORT}/nodes/nobody/replace"),
    "definitions": ("DELETE", "/node_definitions/nobody"),
}
ANSWERS = {
    None: (401, 401, 401, 401, 401, 401),
    "wrong": (401, 401, 401, 401, 401, 401),
    "garbage": (401, 401, 401, 401, 401, 401),
    "revoked": (401, 401, 401, 401, 401, 401),
    "foreign": (403, 403, 403, 403, 403, 403),
    "read": (200, 200, 403, 403, 403, 403),
    "scale": (200, 200, 200, 403, 403, 403),
    "vm": (403, 200, 200, 403, 403, 403),
    "write": (200, 200, 200, 200, 404, 404),
}


@pytest.mark.parametrize("who", ANSWERS)
def test_who_may_do_what(guarded, new_client, tokens, who):
    client = new_client(guarded.base, tokens[who])
    assert tuple(client.call(*call).status for call in CALLS.values()) == ANSWERS[who]


def test_once_there_are_tokens_the_loopback_asks_for_them_too(open_service, tokens):
    assert open_service.get("/infrastructures/").status == 401
    assert open_service.get("/healthz").status == 200


def test_tokens_are_nowhere_in_the_store_or_the_output(guarded, module_workspace, tokens):
    everything = b"".join(path.read_bytes() for path in module_workspace.folder.glob("*") if path.is_file())
    for who in ("read", "scale", "write", "vm"):
        assert tokens[who].split("_", 2)[2].encode() not in everything
    listed = module_workspace.ready("rest-service", "token", "list").stdout.splitlines()
    assert [line.split("\t")[1] for line in listed].count("revoked") == 1


def test_others_are_not_served_without_tokens(ready, serve):
    refused = ready.run("rest-service", "--host", "0.0.0.0", "--port", "0")
    assert refused.code == 2
    (complaint,) = refused.complaint
    assert complaint.startswith("error: 0.0.0.0 can be reached by others: make a token first")
    with serve(ready, "--host", "0.0.0.0", "--insecure") as (_, client):
        assert client.get("/infrastructures/").status == 200


def test_too_many_requests_get_retry_after(ready, serve):
    with serve(ready, "--rate", "0.1") as (_, client):  # one request in ten seconds
        answers = [client.get("/infrastructures/") for _ in range(15)]
    assert {answer.status for answer in answers} == {200, 429}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 10 for answer in answers if answer.status == 429)


def test_no_more_is_built_at_once_than_may_be(ready, cloud, serve, until):
    description = (ready.folder / "trial.yaml").read_bytes()
    cloud.set_faults([{"kind": "hang", "operation": "create"}])
    with serve(ready, "--max-builds", "1") as (_, client):
        first = client.post("/infrastructures/", description)
        assert first.status == 201
        refused = client.post("/infrastructures/", description, Idempotency_Key="k")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        assert refused.json["detail"] == "1 infrastructures are being built already"
        assert client.get("/infrastructures/").json == {"infrastructures": [first.json["infraid"]]}
        cloud.set_faults([])
        client.delete(f"/infrastructures/{first.json['infraid']}")
        until(lambda: client.post("/infrastructures/", description, Idempotency_Key="k").status == 201)
        assert len(client.get("/infrastructures/").json["infrastructures"]) == 1


def test_no_more_is_built_when_many_ask_at_once(ready, cloud, serve):
    description = (ready.folder / "trial.yaml").read_bytes()
    cloud.set_faults([{"kind": "hang", "operation": "create"}])
    with serve(ready, "--max-builds", "3") as (_, client), ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: client.post("/infrastructures/", description), range(10)))
    assert sorted(answer.status for answer in answers) == [201] * 3 + [503] * 7


@pytest.mark.parametrize("name", ["", " ", "x\nid\tvalid", "\x1b[2J"])
def test_the_name_of_a_token_is_one_line(ready, name):
    ended = ready.run("rest-service", "token", "create", "--name", name, "--scope", "read")
    assert ended.code == 2
    (line,) = ended.complaint
    assert "argument --name: a name of printable characters is wanted, on one line" in line


def test_a_token_for_what_is_not_there_yet_is_pointed_out(ready):
    ended = ready.run("rest-service", "token", "create", "--name", "me", "--scope", "read", "--infra", "later")
    assert (ended.code, len(ended.stdout.splitlines())) == (0, 1)
    assert ended.stderr == "warning: no infrastructure has the id 'later'; occopus-maintain -l lists them\n"


def test_a_chunked_body_has_the_same_limit(guarded, tokens):
    address = urlsplit(guarded.base)
    with socket.create_connection((address.hostname, address.port), timeout=600) as connection:
        lines = ["POST /infrastructures/ HTTP/1.1", "Host: x", f"Authorization: Bearer {tokens['write']}"]
        connection.sendall("\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode())
        connection.sendall(b"800\r\n" + b"#" * 2048 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_plain_client_gets_json(guarded, new_client, tokens):
    assert isinstance(json.loads(new_client(guarded.base, tokens["read"]).get("/openapi.json").text), dict)
