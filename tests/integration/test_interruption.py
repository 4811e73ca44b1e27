"""A build interrupted at any moment undoes itself: no instance and no row of it is left."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from occopus_core.cli.interruption import REPEAT_SECONDS

from .conftest import LONGEST

pytestmark = pytest.mark.integration

LINES = 36
"""About the number of lines that an undisturbed build of these nodes prints."""
AT_ONCE = 6


@pytest.fixture
def user(workspace, cloud, describe):
    workspace.ready("import", workspace.write("nodes.yaml", cloud.definitions("worker", boot_seconds=0.05, steps=2)))
    edges = [("web", "db"), ("lb", "web")]
    workspace.write("trial.yaml", describe("db", "web", "lb", "aside", min=2, edges=edges))
    return workspace


@pytest.mark.parametrize(
    ("number", "times"), [(signal.SIGINT, 50), (signal.SIGTERM, 8), (signal.SIGHUP, 4)], ids=["INT", "TERM", "HUP"]
)
def test_nothing_is_left_of_a_build_interrupted_at_a_random_moment(user, cloud, number, times):
    rng = random.Random(20)
    cases = [(f"i-{case}", rng.randrange(LINES), rng.random(), rng.random() < 0.5) for case in range(times)]

    def interrupted(case: tuple[str, int, float, bool]) -> bool:
        infra_id, line, chance, parallel = case
        # Before the first line there is much to import, which takes longer than anything after it.
        pause = chance * (0.04 if line else 0.8)
        options = ["--parallelize"] if parallel else []
        ended, _ = user.run_to_line(line, pause, number, "build", "trial.yaml", "-i", infra_id, *options)
        if ended.code == 0:
            assert ended.stdout == f"{infra_id}\n"
            assert len(cloud.machines(infra_id)) == 8
            return False
        assert (ended.code, ended.stdout) == (128 + number, ""), ended
        assert "Traceback" not in ended.stderr
        assert cloud.machines(infra_id) == []
        assert user.rows(infra_id) == 0
        return "node dropped" in ended.stderr

    with ThreadPoolExecutor(AT_ONCE) as threads:
        undone = list(threads.map(interrupted, cases))
    assert sum(undone) >= times / 3, "most moments should be in the midst of the build"
    assert {machine["owner"]["infra_id"] for machine in cloud.inventory()} == {
        i for (i,) in user.query("SELECT id FROM infrastructures")
    }


def test_an_interrupted_update_leaves_what_was_running(user, cloud, describe):
    user.write("small.yaml", describe("db"))
    user.ready("build", "small.yaml", "-i", "grown")
    before = cloud.machines("grown")
    ended, _ = user.run_to_line(6, 0.0, signal.SIGINT, "build", "trial.yaml", "-i", "grown")
    assert ended.code == 130, ended
    assert cloud.machines("grown") == before
    assert user.report("grown").keys() == {"db"}


def test_a_signal_sent_twice_at_once_is_one(user, cloud, describe):
    """As `timeout` sends it: to the command, and to its whole group."""
    with user.start("build", "trial.yaml", "-i", "once") as process:
        read_until(process, "node creating")
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(60) == 143
    assert "stopping at once" not in rest
    assert rest.endswith("the build was interrupted and undone\n")
    assert cloud.machines("once") == []
    assert user.rows("once") == 0


def stopped_while_it_is_undone(user, cloud, file, infra_id, line):
    """Interrupt a build after a line, and again during its rollback; returns the stderr after that."""
    with user.start("build", file, "-i", infra_id) as process:
        read_until(process, line)
        cloud.set_faults([{"kind": "hang", "operation": "delete"}])
        process.send_signal(signal.SIGINT)
        read_until(process, "node dropping")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(REPEAT_SECONDS)  # an earlier signal is a repeat of the first one
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(LONGEST) == 130
        assert process.stdout.read() == ""
    cloud.set_faults([])
    return rest


def test_a_second_signal_stops_at_once_and_destroy_finishes(user, cloud, describe):
    rest = stopped_while_it_is_undone(user, cloud, "trial.yaml", "twice", "node ready db")
    assert "stopping at once\n" in rest
    assert re.search(r"stopped; to remove what is left: (OCCOPUS_STORE=\S+ )?occopus-destroy -i twice\n", rest)
    assert len(cloud.machines("twice")) >= 1
    assert user.rows("twice") >= 2
    user.ready("destroy", "-i", "twice")
    assert cloud.machines("twice") == []
    assert user.rows("twice") == 0


def test_a_second_signal_during_an_update_says_how_to_undo_it_and_names_no_destruction(user, cloud, describe):
    user.write("small.yaml", describe("db"))
    user.ready("build", "small.yaml", "-i", "both")
    user.ready("import", user.write("slow.yaml", cloud.definitions("slow", boot_seconds=600)))
    nodes = [{"name": "db", "type": "worker"}, {"name": "web", "type": "slow"}]
    user.write("more.yaml", json.dumps({"user_id": "me", "infra_name": "trial", "nodes": nodes}))
    rest = stopped_while_it_is_undone(user, cloud, "more.yaml", "both", "node booting web")
    assert "occopus-destroy" not in rest
    assert re.search(r"is being rolled back: (OCCOPUS_STORE=\S+ )?occopus-maintain -i both finishes that", rest)
    finished = user.run("maintain", "-i", "both")
    assert finished.code == 1
    assert "error: the update was rolled back: interrupted by SIGINT\n" in finished.stderr
    assert len(cloud.machines("both")) == 1
    assert user.report("both").keys() == {"db"}


def test_a_rollback_that_is_killed_is_finished_by_the_next_pass(workspace):
    """With processes of this machine; the one that is rolled back ends only when `go` is there."""
    go = workspace.folder / "go"
    resource = {"type": "local", "root": str(workspace.folder / "nodes"), "stop_seconds": 600}
    script = f"trap '' TERM; while [ ! -e {go} ]; do sleep 0.1; done"
    held = {
        "resource": resource,
        "contextualisation": {"type": "cloudinit", "context_template": {"runcmd": [script]}},
        "health_check": {"ping": False, "ports": [1], "timeout": 600},
    }
    nodes = {"node_def:calm": [{"resource": resource, "health_check": {"ping": False}}], "node_def:held": [held]}
    workspace.ready("import", workspace.write("local.yaml", json.dumps(nodes)))
    before, after = [{"name": "one", "type": "calm"}], [{"name": "two", "type": "held"}]
    workspace.write("before.yaml", json.dumps({"infra_name": "cut", "nodes": before}))
    workspace.write("after.yaml", json.dumps({"infra_name": "cut", "nodes": [*before, *after]}))
    workspace.ready("build", "before.yaml", "-i", "cut")
    with workspace.start("build", "after.yaml", "-i", "cut") as process:
        read_until(process, "node waiting two")
        process.send_signal(signal.SIGINT)
        read_until(process, "node dropping two")
        process.kill()
    report = workspace.ready("maintain", "-r", "-i", "cut").stdout
    assert "the update is being rolled back: interrupted by SIGINT; " in report
    go.touch()
    with contextlib.closing(sqlite3.connect(workspace.store)) as store, store:
        store.execute("UPDATE infrastructures SET lease_expires = 0")  # do not wait for its expiry
    finished = workspace.run("maintain", "-i", "cut")
    assert finished.code == 1, finished
    assert "rolling back: interrupted by SIGINT (carried on)\n" in finished.stderr
    assert "error: the update was rolled back: interrupted by SIGINT\n" in finished.stderr
    assert workspace.report("cut").keys() == {"one"}
    assert "rolled back" not in workspace.ready("maintain", "-r", "-i", "cut").stdout
    workspace.ready("maintain", "-i", "cut")
    workspace.ready("destroy", "-i", "cut")


def test_an_interrupted_destroy_says_how_to_go_on(user, cloud, describe):
    user.write("slow.yaml", cloud.definitions("slow", delete_seconds=4))
    user.ready("import", "slow.yaml")
    user.write("slow-trial.yaml", describe("db", type="slow"))
    user.ready("build", "slow-trial.yaml", "-i", "leaving")
    with user.start("destroy", "-i", "leaving") as process:
        read_until(process, "node dropping")
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(LONGEST) == 143
    assert re.search(r"to go on later: (OCCOPUS_STORE=\S+ )?occopus-destroy -i leaving\n", rest)
    assert "dropping" in user.ready("maintain", "-l").stdout
    user.ready("destroy", "-i", "leaving")
    assert cloud.machines("leaving") == []


def read_until(process: subprocess.Popen[str], beginning: str) -> None:
    assert any(line.startswith(beginning) for line in process.stderr), f"it never said '{beginning}'"
