"""The life of infrastructures: nodes die, requests arrive, maintainers are killed, clouds are unreachable."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from occopus_core.store.database import open_database
from occopus_core.store.records import ScaleKind
from occopus_core.store.repository import Store

from .conftest import LONGEST, catches

pytestmark = pytest.mark.integration

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
WORKER = Path(__file__).with_name("life_worker.py")
LIMIT = 60
"""The time for which a node of the quick start may be unhealthy."""

REQUESTS = int(os.environ.get("OCCOPUS_TEST_REQUESTS", "200"))
SENDERS = 10
BETWEEN_KILLS = (2.0, 4.0)
LIMITS = (2, 12)


@contextlib.contextmanager
def maintained(workspace, infra_id, *options):
    """``occopus-maintain -c``, which is there until the end of the block; its output is in the file `said`."""
    with (workspace.folder / "said").open("w") as said:
        process = workspace.start("maintain", "-c", "-i", infra_id, *options, stdout=subprocess.DEVNULL, stderr=said)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def stopped(process):
    """Ask it to end; its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(LONGEST)


def events(workspace, infra_id):
    return workspace.ready("maintain", "--events", "-i", infra_id).stdout


@contextlib.contextmanager
def stored(workspace):
    with contextlib.closing(open_database(f"sqlite:///{workspace.store}")) as database:
        yield Store(database)


def scale_to(workspace, infra_id, count):
    with stored(workspace) as store:
        store.request_scaling(infra_id, "web", ScaleKind.SET, count, "", time.time())


# On this computer


class Demo:
    """The quick start, built; its web nodes and what they run."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.root = workspace.home / ".occopus" / "local"

    def web(self):
        """The ids of the web nodes that are ready."""
        return {node_id for node_id, _ in self._ready("web")}

    def _ready(self, name):
        rows = "SELECT node_id, addresses FROM instances WHERE node_name = ? AND stage = 'ready'"
        return self.workspace.query(rows, name)

    def server(self, node_id):
        """The web server's process of a node."""
        (found,) = [
            process
            for process in psutil.process_iter(["environ", "cmdline"])
            if f"{node_id}/" in (process.info["environ"] or {}).get("OCCOPUS_NODE_DIR", "") + "/"
            and "http.server" in (process.info["cmdline"] or ())
        ]
        return found

    def answers(self):
        """Whether the load balancer does."""
        for _, addresses in self._ready("loadbalancer"):
            ((address, _),) = json.loads(addresses)
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}:8080/", timeout=2) as answer:
                return "Hello from Occopus" in answer.read().decode()
        return False

    def replaced(self, node_id):
        """Whether it is replaced when it is ill; its illness is dated back, so that the test need not wait."""
        ill = "UPDATE instances SET unhealthy_since = unhealthy_since - ? WHERE node_id = ? AND unhealthy_since > ?"
        with contextlib.closing(sqlite3.connect(self.workspace.store, timeout=LONGEST)) as store, store:
            store.execute(ill, (LIMIT, node_id, time.time() - LIMIT))
        web = self.web()
        return node_id not in web and len(web) == 2 and self.answers()


@pytest.fixture
def demo(workspace):
    shutil.copytree(QUICKSTART, workspace.folder, dirs_exist_ok=True)
    assert f"timeout: {LIMIT}\n" in (workspace.folder / "nodes.yaml").read_text()
    workspace.ready("import", "nodes.yaml")
    workspace.ready("build", "infra.yaml", "-i", "first", "--parallelize")
    yield Demo(workspace)
    workspace.run("destroy", "-i", "first")


def test_the_nodes_of_the_quick_start_are_replaced(demo, until):
    killed, halted = sorted(demo.web())
    with maintained(demo.workspace, "first", "-t", "1") as maintainer:
        demo.server(killed).kill()
        until(lambda: demo.replaced(killed))
        assert halted in demo.web()
        demo.server(halted).send_signal(signal.SIGSTOP)
        until(lambda: demo.replaced(halted))
        assert stopped(maintainer) == 0
    said = events(demo.workspace, "first")
    for node_id in (killed, halted):
        assert re.search(rf" healing web {node_id[:8]}: for \d+ s \(limit {LIMIT} s\): ", said), said


# On the simulated cloud


@pytest.fixture
def user(workspace, cloud, describe):
    """A user with an infrastructure `life` of two nodes."""
    workspace.ready("import", workspace.write("nodes.yaml", cloud.definitions("worker")))
    text = describe("web", min=LIMITS[0]).replace(f'"max": {LIMITS[0] + 1}', f'"max": {LIMITS[1]}')
    workspace.ready("build", workspace.write("life.yaml", text), "-i", "life", "--parallelize")
    return workspace


def assert_whole(user, cloud, count):
    """This many instances, all ready, the same in the store and on the cloud; none was made twice."""
    machines = cloud.machines("life")
    known = user.query("SELECT instance_id, token, stage FROM instances WHERE infra_id = 'life'")
    assert sorted(known) == sorted((machine["id"], machine["token"], "ready") for machine in machines)
    assert len({token for _, token, _ in known}) == len(known) == count


@pytest.mark.parametrize(
    "rule", [None, {"kind": "hang", "operation": "create"}, {"kind": "hang", "operation": "describe"}]
)
def test_maintenance_ends_in_the_middle_of_anything(user, cloud, until, rule):
    user.ready("import", user.write("slow.yaml", cloud.definitions("worker", boot_seconds=5, steps=2)))
    built = len(cloud.log())
    with maintained(user, "life", "-t", "1", "--parallelize") as maintainer:
        until(lambda: len(cloud.log()) > built + 1)
        before = len(cloud.log())
        cloud.set_faults([rule] if rule else [])
        scale_to(user, "life", 6)
        until(lambda: any(call["outcome"] == "hang" or len(call["tokens"]) for call in cloud.log()[before:]))
        assert stopped(maintainer) == 0
    cloud.set_faults([])
    user.ready("maintain", "-i", "life", "--parallelize")
    assert_whole(user, cloud, 6)
    tokens = {token for call in cloud.log() if call["operation"] == "create" for token in call["tokens"]}
    assert len(tokens) == 6, "what was begun was carried on"


def test_an_outage_of_a_cloud_is_reported_once(workspace, new_cloud, describe, until):
    with new_cloud() as cloud:
        workspace.ready("import", workspace.write("nodes.yaml", cloud.definitions("worker")))
        workspace.ready("build", workspace.write("life.yaml", describe("web", min=2)), "-i", "life")
        before = cloud.machines("life")
        built = len(cloud.log())
        with maintained(workspace, "life", "-t", "1") as maintainer:
            said = workspace.folder / "said"
            until(lambda: len(cloud.log()) > built + 1)
            cloud.kill()
            until(lambda: "for a provider" in said.read_text())
            begun = workspace.query("SELECT epoch FROM infrastructures")[0][0]
            until(lambda: workspace.query("SELECT epoch FROM infrastructures")[0][0] > begun)
            cloud.start()
            cloud.change(before[0]["id"], "lose")
            until(lambda: len(cloud.machines("life")) == 2)
            assert stopped(maintainer) == 0
        assert said.read_text().count("for a provider") == 1, said.read_text()
        workspace.ready("maintain", "-i", "life")
        assert_whole(workspace, cloud, 2)


class Crowd:
    """Processes of `life_worker` on the same store; their output is in the file `said`."""

    def __init__(self, workspace):
        self._workspace = workspace
        self._processes = []
        self.said = workspace.folder / "said"

    def start(self, *words):
        with self.said.open("a") as said:
            process = subprocess.Popen(
                [sys.executable, str(WORKER), *map(str, words)],
                env=self._workspace.environ,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        self._processes.append(process)
        return process

    def close(self):
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def crowd(workspace):
    with contextlib.closing(Crowd(workspace)) as made:
        yield made


def replayed(requests):
    """The target after these requests, one after another; each result must say the same."""
    low, high = LIMITS
    target = low
    for kind, amount, instance, result in requests:
        if instance and "has no instance" in result:
            continue
        wanted = amount if kind == "set" else target + amount
        after = min(max(wanted, low), high)
        assert result.startswith(f"{target} -> {after}"), (kind, amount, result)
        target = after
    return target


def test_requests_from_everywhere_are_applied_once_and_in_order(user, cloud, crowd, until):
    rng = random.Random(11)
    maintainers = [crowd.start("keep", "life") for _ in range(2)]
    senders = [crowd.start("ask", "life", REQUESTS // SENDERS, number) for number in range(SENDERS)]

    def settled(seconds):
        """Whether everything was sent and applied within so many seconds."""
        with contextlib.suppress(AssertionError):
            pending = "SELECT 1 FROM scale_requests WHERE applied_at IS NULL"
            until(lambda: all(sender.poll() is not None for sender in senders) and not user.query(pending), seconds)
            return True
        return False

    kills = 0
    while kills < 2 or not settled(kills * rng.uniform(*BETWEEN_KILLS)):  # later and later, however slow they are
        victim = maintainers.pop(0)
        victim.kill()
        kills += 1
        maintainers.append(crowd.start("keep", "life"))
    for maintainer in maintainers:
        until(lambda pid=maintainer.pid: catches(pid, signal.SIGTERM))
        assert stopped(maintainer) == 0, crowd.said.read_text()
    assert {sender.wait() for sender in senders} == {0}, crowd.said.read_text()
    until(lambda: not user.query("SELECT 1 FROM infrastructures WHERE lease_expires > ?", time.time()))
    user.ready("maintain", "-i", "life", "--parallelize")
    rows = user.query("SELECT kind, amount, instance, result FROM scale_requests ORDER BY id")
    assert len(rows) == REQUESTS
    target = replayed(rows)
    assert user.report("life")["web"]["scaling"]["target"] == target
    assert_whole(user, cloud, target)


def test_destroyed_while_others_maintain_it(user, cloud, crowd):
    maintainers = [crowd.start("keep", "life") for _ in range(2)]
    scale_to(user, "life", 8)
    user.ready("destroy", "-i", "life")
    assert [maintainer.wait(LONGEST) for maintainer in maintainers] == [0, 0], crowd.said.read_text()
    assert cloud.machines("life") == []
    assert user.rows("life") == 0
    assert user.query("SELECT 1 FROM scale_requests") == []
