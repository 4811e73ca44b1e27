"""``occopus-logs``: the output of instances, and the stored output of deleted ones."""

from __future__ import annotations

import json
import signal

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration

PRINTED = "starting\nlistening on 80\n"


@pytest.fixture
def printing(workspace, cloud, describe):
    """A workspace with the infrastructure `shop`: one `db` and two `web`, each of which has printed two lines."""
    workspace.ready("import", workspace.write("nodes.yaml", cloud.definitions("worker", output=PRINTED)))
    description = json.loads(describe("db", "web"))
    description["nodes"][1]["scaling"] = {"min": 2, "max": 2}
    workspace.ready("build", workspace.write("shop.yaml", json.dumps(description)), "-i", "shop", "--parallelize")
    return workspace


def instances(workspace, node):
    return sorted(
        node_id for (node_id,) in workspace.query(f"SELECT node_id FROM instances WHERE node_name = '{node}'")
    )


def test_the_output_of_one_instance_is_printed_as_it_is(printing):
    ended = printing.ready("logs", "-i", "shop", "db")
    assert (ended.stdout, ended.stderr) == (PRINTED, "")
    (db,) = instances(printing, "db")
    assert printing.ready("logs", "-i", "shop", db[:8], "-n", "1").stdout == "listening on 80\n"
    form = printing.ready("logs", "-i", "shop", db, "-n", "1", "-o", "json").stdout
    assert json.loads(form) == {"node": "db", "nodeid": db, "line": "listening on 80"}


def test_lines_of_several_have_the_name_of_their_instance(printing):
    lines = printing.ready("logs", "-i", "shop").stdout.splitlines()
    names = [f"{node}/{node_id[:8]}" for node in ("db", "web") for node_id in instances(printing, node)]
    assert sorted(lines) == sorted(f"{name}: {line}" for name in names for line in PRINTED.splitlines())


def test_mistakes_are_one_line(printing):
    assert printing.run("logs", "-i", "none").code == 3
    ended = printing.run("logs", "-i", "shop", "nobody")
    assert ended.code == 3
    (line,) = ended.complaint
    assert line.startswith("error: 'shop' has no node and no instance called 'nobody', nor output of one; it has: db ")
    assert printing.run("logs", "-i", "shop", "-n", "0").code == 2
    ended = printing.run("logs", "-i", "shop", "--since", "soon")
    assert ended.code == 2
    assert "expected a duration such as 90m" in ended.stderr


def test_an_unreachable_provider_is_reported(printing, cloud):
    cloud.set_faults([{"kind": "permanent", "operation": "logs", "reason": "not allowed"}])
    ended = printing.run("logs", "-i", "shop", "db")
    assert (ended.code, ended.stdout) == (5, "")
    assert "error: " in ended.stderr
    assert "not allowed" in ended.stderr


def test_a_provider_without_times_is_reported(printing):
    ended = printing.ready("logs", "-i", "shop", "db", "--since", "10m")
    assert ended.stdout == ""
    assert "does not say when its instances have printed something" in ended.stderr


def test_the_output_is_followed_until_it_is_interrupted(printing, until):
    ended, _ = printing.run_to_line(0, 0.0, signal.SIGINT, "logs", "-i", "shop", "db", "-f")
    assert ended.code == 130
    with printing.start("logs", "-i", "shop", "db", "--follow") as process:
        assert [process.stdout.readline() for _ in range(2)] == PRINTED.splitlines(keepends=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST) == -signal.SIGTERM or process.returncode == 143


def test_what_a_failed_build_left_is_still_there(workspace, cloud, describe):
    definitions = cloud.definitions("worker", output="cannot open the database\n", boot_seconds=0.1, fail="exit code 3")
    workspace.ready("import", workspace.write("nodes.yaml", definitions))
    assert workspace.run("build", workspace.write("bad.yaml", describe("db")), "-i", "bad").code == 1
    ended = workspace.ready("logs", "-i", "bad")
    assert ended.stdout == "cannot open the database\n"
    assert "it failed and is gone; what was kept at 20" in ended.stderr
