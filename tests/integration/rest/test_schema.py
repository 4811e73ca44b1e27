"""The OpenAPI document, and the answers of the service to any request."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration

CONFIGURATION = f"""
seed = 1
request-timeout = {LONGEST}
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
        client.get("/openapi.json")  # the first time it takes longer than a program may wait for it
        statuses, expected = set(), {200, 201, 404, 405, 422, *({401} if guarded else ())}
        for seconds in (60, 120, 240):  # how much fits into the time depends on the machine
            found = examined(described, client.base, token, seconds)
            assert found.returncode == 0, found.stdout
            number, passed = re.search(r"(\d+) generated, (\d+) passed", found.stdout).groups()
            assert int(number) == int(passed) > 0, found.stdout
            assert "Stateful (not applicable)" not in found.stdout
            client.token = token
            assert client.get("/readyz").status == 200
            lines = [json.loads(line) for line in process.said.read_text().splitlines() if line.startswith("{")]
            statuses = {line["status"] for line in lines}
            if expected <= statuses:
                break
        assert expected <= statuses
        assert not {0, 429, 500, *(() if guarded else (401,))} & statuses


def examined(workspace, base, token, seconds):
    configuration = workspace.write("schemathesis.toml", CONFIGURATION)
    program = Path(sys.executable).with_name("schemathesis")
    words = ["--config-file", configuration, "run", f"{base}/openapi.json", "--checks", "all"]
    words += ["--continue-on-failure", "--max-time", str(seconds)]
    words += ["-H", f"Authorization: Bearer {token}"] if token else []
    return subprocess.run(
        [program, *words], cwd=workspace.folder, capture_output=True, text=True, timeout=LONGEST, check=False
    )
