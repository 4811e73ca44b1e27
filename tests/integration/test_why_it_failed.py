"""Why a node failed: its exit status and the last lines of its output, in the event and at the end of the build."""

from __future__ import annotations

import json
import time

import pytest

pytestmark = pytest.mark.integration

SAID = "cannot open the database"
WHY = f"runcmd[0] (echo …) ended with exit status 3: {SAID}; its last output:\n    {SAID}"


@pytest.fixture
def local(workspace):
    """A workspace with nodes on this machine: `crash` ends with 3, `shut` runs and listens nowhere."""

    def node(command, timeout):
        return [
            {
                "resource": {"type": "local", "root": str(workspace.folder / "nodes")},
                "contextualisation": {"type": "cloudinit", "context_template": {"runcmd": [command]}},
                "health_check": {"ping": False, "ports": [1], "timeout": timeout},
            }
        ]

    definitions = {
        "node_def:crash": node("echo cannot open the database >&2; exit 3", 500),
        "node_def:shut": node("echo listening nowhere", 3),
    }
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps(definitions)))
    for name in ("crash", "shut"):
        workspace.write(f"{name}.yaml", json.dumps({"infra_name": name, "nodes": [{"name": "n", "type": name}]}))
    return workspace


def test_a_runcmd_that_fails_is_a_failure_with_its_place_its_exit_status_and_its_output(local):
    began = time.monotonic()
    ended = local.run("build", "crash.yaml", "-i", "one")
    assert ended.code == 1
    assert time.monotonic() - began < 400, "it is noticed when it happens, not at the end of the time for health checks"
    assert f"error: node 'n' (local): {WHY}\n" in ended.stderr.replace(f" {local.folder / 'nodes'}", "")
    assert not list((local.folder / "nodes").glob("n-*")), "the build was undone"
    logged = [
        json.loads(line) for line in local.ready("maintain", "-i", "one", "--events", "-o", "json").stdout.splitlines()
    ]
    assert [one["text"] for one in logged if one["event"] == "node failed"] == [WHY]
    shown = local.ready("maintain", "-i", "one", "--events").stdout
    assert WHY in shown


def test_a_node_that_is_given_up_shows_what_it_has_printed(local):
    ended = local.run("build", "shut.yaml", "-i", "two")
    assert ended.code == 1
    assert "not ready within 3 s: " in ended.stderr
    assert "; its last output:\n    listening nowhere\n" in ended.stderr
