"""What the OpenAPI document promises, and what the service answers to whatever may be sent to it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

CONFIGURATION = """
seed = 1
[generation]
mode = "all"
max-examples = 3
[parameters]
"path.nodename" = "web"
"query.wait" = true  # otherwise it is gone a little later
[checks.positive_data_acceptance]
# A schema cannot say which text is the description of an infrastructure.
expected-statuses = ["2xx", "401", "403", "404", "409", "422", "503"]
"""


@pytest.fixture
def described(ready, cloud):
    """The example of the document can be built."""
    ready.ready("import", ready.write("web.yaml", cloud.definitions("web")))
    return ready


@pytest.mark.parametrize("guarded", [False, True], ids=["open", "with tokens"])
def test_every_answer_is_as_documented(described, serve, guarded):
    token = None
    if guarded:
        words = ["token", "create", "--name", "t", "--scope", "write"]
        token = described.ready("rest-service", *words).stdout.strip()
    with serve(described, "--endpoint", "tcp://engine.example.org:2376") as (process, client):  # of the example
        found = examined(described, client.base, token)
        assert found.returncode == 0, found.stdout
        number, passed = re.search(r"(\d+) generated, (\d+) passed", found.stdout).groups()
        assert int(number) == int(passed) > 0, found.stdout  # how many fit into the time depends on the machine
        assert "Stateful (not applicable)" not in found.stdout
        client.token = token
        assert client.get("/readyz").status == 200
        lines = [json.loads(line) for line in process.said.read_text().splitlines() if line.startswith("{")]
        statuses = {line["status"] for line in lines}
        assert {200, 201, 404, 405, 422} <= statuses
        assert (401 in statuses) == guarded
        assert not {0, 429, 500} & statuses


def examined(workspace, base, token):
    configuration = workspace.write("schemathesis.toml", CONFIGURATION)
    program = Path(sys.executable).with_name("schemathesis")
    words = ["--config-file", configuration, "run", f"{base}/openapi.json", "--checks", "all"]
    words += ["--continue-on-failure", "--max-time", "60"]
    words += ["-H", f"Authorization: Bearer {token}"] if token else []
    return subprocess.run(
        [program, *words], cwd=workspace.folder, capture_output=True, text=True, timeout=300, check=False
    )
