"""The REST service as a process, and a client as plain as curl."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
import urllib.request

import pytest

LONGEST = 600
"""Seconds after which a call counts as stuck, however busy the machine is."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body.decode()

    @property
    def json(self):
        return json.loads(self.text)


class Client:
    """As plain as curl: bytes are sent as a form by default."""

    def __init__(self, base, token=None):
        self.base, self.token = base, token

    def call(self, method, path, body=None, **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.base + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=LONGEST) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def get(self, path, **headers):
        return self.call("GET", path, **headers)

    def post(self, path, body=b"", **headers):
        return self.call("POST", path, body, **headers)

    def delete(self, path):
        return self.call("DELETE", path)


@contextlib.contextmanager
def serving(workspace, *options, **how):
    """A service on a free port; its output is in the file `said`, its URL is the client's base."""
    path = workspace.folder / f"said-{time.monotonic_ns()}"
    with path.open("w") as said:
        words = ["--port", "0", "--interval", "1", "--parallelize", *options]
        process = workspace.start("rest-service", *words, stdout=said, stderr=said, **how)
        process.said = path
        try:
            yield process, Client(base_of(process))
        finally:
            process.kill()
            process.wait()


def base_of(process):
    deadline = time.monotonic() + LONGEST
    while not (found := re.search(r"listening on (\S+)", process.said.read_text())):
        assert process.poll() is None, process.said.read_text()
        assert time.monotonic() < deadline, process.said.read_text()
        time.sleep(0.02)
    return found[1].replace("0.0.0.0", "127.0.0.1")


@pytest.fixture(scope="session")
def serve():
    """Runs a service in a workspace for the time of a block."""
    return serving


@pytest.fixture(scope="session")
def new_client():
    """Makes a client, with a token or without."""
    return Client


@pytest.fixture(scope="module")
def module_workspace(tmp_path_factory, cloud_process, new_workspace, describe):
    """A workspace for all tests of a module, with the infrastructure `trial` of one node."""
    cloud_process.reset()
    workspace = new_workspace(tmp_path_factory.mktemp("rest"))
    workspace.ready("import", workspace.write("nodes.yaml", cloud_process.definitions("worker")))
    workspace.ready("build", workspace.write("trial.yaml", describe("web")), "-i", "trial")
    return workspace


@pytest.fixture
def served(ready):
    with serving(ready) as (process, client):
        client.process = process
        yield client


@pytest.fixture
def new_token(workspace):
    """Makes a token for the service on this workspace."""
    return lambda scope, *words: workspace.ready(
        "rest-service", "token", "create", "--name", f"a {scope}er", "--scope", scope, *words
    ).stdout.strip()
