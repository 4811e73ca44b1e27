"""The example of a load balancer that follows its web nodes, and ``occopus-ssh`` on it, with haproxy and OpenSSH."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from occopus_core.api.ssh import generate_host_key
from occopus_core.testing import sshd

from .conftest import wait_until

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "following"
PLACE = "/tmp/occopus-following"
TRIES = 2
"""A request, and a retry."""


@pytest.fixture
def user(workspace):
    if not (sshd.installed() and shutil.which("haproxy", path="/usr/sbin:/usr/bin:/sbin:/bin")):
        pytest.skip("haproxy or OpenSSH is not installed: apt-get install haproxy openssh-server openssh-client")
    shutil.copytree(EXAMPLE, workspace.folder, dirs_exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="occopus-"))  # a short one, for a socket
    for name in ("nodes.yaml", "auth_data.yaml", "haproxy.cfg"):
        file = workspace.folder / name
        file.write_text(file.read_text().replace(PLACE, f"{place}/x"))
    (workspace.folder / "auth_data.yaml").chmod(0o600)
    workspace.environ["OCCOPUS_AUTH_DATA_PATH"] = str(workspace.folder / "auth_data.yaml")
    workspace.environ["PATH"] += ":/usr/sbin"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / "x.key"], check=True)
    workspace.place = place
    yield workspace
    workspace.run("destroy", "-i", "first")
    shutil.rmtree(place)


def addresses(report, node):
    return [instance["resource_address"] for instance in report[node]["instances"].values()]


class Visitor:
    """Requests pages continuously, each over a new connection; `lost` are requests that failed even after a retry."""

    def __init__(self, address):
        self._address = address
        self._over = threading.Event()
        self.answered = 0
        self.lost = []
        self._threads = [threading.Thread(target=self._visit) for _ in range(2)]

    def _visit(self):
        while not self._over.is_set():
            errors = []
            while len(errors) < TRIES and not self._asked(errors):
                pass
            if len(errors) == TRIES:
                self.lost.append(errors)
            else:
                self.answered += 1

    def _asked(self, errors):
        connection = http.client.HTTPConnection(self._address, 8080, timeout=60)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            errors.append(repr(error))
            return False
        finally:
            connection.close()
        if answer.status != 200:
            errors.append(answer.status)
        return answer.status == 200

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def visits(self, count):
        """Wait for so many more answers."""
        wanted = self.answered + count
        wait_until(lambda: self.answered >= wanted or self.lost)


def processes(node_id):
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("OCCOPUS_NODE_ID") == node_id
    ]


def processes_below(folder):
    return [
        process
        for process in psutil.process_iter(["environ", "status"])
        if (process.info["environ"] or {}).get("OCCOPUS_NODE_DIR", "").startswith(folder)
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def backends(user):
    (file,) = user.place.glob("x-*/haproxy.cfg")
    return sorted(line.split()[2].partition(":")[0] for line in file.read_text().splitlines() if " server web-" in line)


def test_the_load_balancer_follows_and_no_request_is_lost(user):
    user.ready("import", "nodes.yaml")
    user.ready("build", "infra.yaml", "-i", "first")
    (balancer,) = addresses(user.report("first"), "loadbalancer")
    with Visitor(balancer) as visitor:
        visitor.visits(20)
        for count in (4, 2):
            user.ready("scale", "-i", "first", "-n", "web", "-s", str(count))
            user.ready("maintain", "-i", "first")
            report = user.report("first")
            assert len(addresses(report, "web")) == count
            assert backends(user) == sorted(addresses(report, "web"))
            visitor.visits(20)
        victim, *_ = report["web"]["instances"]
        for process in processes(victim):
            with contextlib.suppress(psutil.NoSuchProcess):  # one may end with another
                process.kill()
        visitor.visits(20)
        wait_until(
            lambda: user.run("maintain", "-i", "first") and victim not in user.report("first")["web"]["instances"]
        )
        report = user.report("first")
        assert backends(user) == sorted(addresses(report, "web"))
        visitor.visits(20)
    assert visitor.lost == []
    assert addresses(report, "loadbalancer") == [balancer]

    commands(user, balancer)

    user.ready("destroy", "-i", "first")
    assert processes_below(str(user.home)) == []
    assert user.query("SELECT count(*) FROM host_keys") == [(0,)]


def commands(user, balancer):
    """``occopus-ssh`` on the load balancer."""
    known = ("-p", "2222")
    ended = user.run("ssh", "-i", "first", "loadbalancer", "--", "echo", "out; echo err >&2; exit 7")
    assert (ended.code, ended.stdout, ended.complaint) == (7, "out\n", ["err"])
    (record,) = user.query("SELECT node_id FROM instances WHERE node_name = 'loadbalancer'")
    ended = user.run("ssh", "-i", "first", "--all", balancer, "--", "echo one; echo two >&2; exit 3")
    name = f"loadbalancer/{record[0][:8]}"
    assert (ended.code, ended.stdout) == (1, f"{name}: one\n")
    assert ended.complaint == [f"{name}: two", f"error: {name}: ended with exit code 3"]
    ended = user.run("ssh", "-i", "first", "--all", "--", "echo one")
    assert (ended.code, ended.stdout, len(ended.complaint)) == (0, f"{name}: one\n", 2)
    assert all(re.match("skipped: web/.*: its node definition describes no SSH", line) for line in ended.complaint)
    ended = user.end(user.start("ssh", "-i", "first", "loadbalancer"))  # an interactive one, with nothing to read
    assert ended.code == 0

    ended = user.run("ssh", "-i", "first", "nobody", "--", "true")
    assert ended.code == 3
    assert ended.complaint[0].startswith(
        "error: no node and no instance with an address is called 'nobody'; there are: "
    )
    ended = user.run("ssh", "-i", "first", "web", "--", "true")
    assert ended.code == 3
    assert ended.complaint[0].startswith("error: 'web' has 2 instances: name one of web ")
    ended = user.run("ssh", "-i", "first", "loadbalancer", *known, "--identity", "/nowhere", "--", "true")
    assert (ended.code, ended.complaint) == (1, ["error: /nowhere: No such file or directory"])
    assert user.run("ssh", "-i", "first", "--all").code == 2

    (pinned,) = user.query('SELECT "keys" FROM host_keys')
    other = generate_host_key().public
    pin(user, other)
    ended = user.run("ssh", "-i", "first", "loadbalancer", "--", "true")
    assert ended.code == 1
    assert len(ended.complaint) == 1
    assert "shows another host key than the one pinned for it" in ended.complaint[0]
    pin(user, pinned[0])


def pin(user, key):
    with contextlib.closing(sqlite3.connect(user.store, timeout=60)) as connection, connection:
        connection.execute('UPDATE host_keys SET "keys" = ?', (key,))
