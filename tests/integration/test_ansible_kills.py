"""Passes with the configuration manager `ansible` are killed at every boundary between two steps, on a real sshd.

The worker is the real one; in place of ansible-runner it has a stand-in, whose runs take milliseconds. In half of the
tests the worker is killed, too. ``OCCOPUS_TEST_KILLS`` is how many kills there are at the most in each test (3).
"""

from __future__ import annotations

import os
import shutil
import time

import psutil
import pytest

from occopus_config_ansible import Ansible
from occopus_core.api import ConfigState, Connection
from occopus_core.testing import sshd

from ..unit.engine.conftest import World, empty_store, world  # noqa: F401  # fixtures
from .conftest import LONGEST, wait_until
from .kills import MOMENTS, Campaign, mortal, on

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("OCCOPUS_TEST_KILLS", "3"))
PLAYBOOK = "- hosts: all\n  tasks:\n    - ping:\n"
RUNNER = """\
import fcntl, os, pathlib, time, yaml

def run(private_data_dir, limit, event_handler, cancel_callback, **how):
    given = yaml.safe_load(pathlib.Path(private_data_dir, "extra_vars.yml").read_text())
    hosts = limit.split(",")
    path = os.environ["OCCOPUS_TEST_LOG"]
    with open(path, "a", buffering=1) as log:
        locks = [open(f"{path}.{host}", "w") for host in hosts]
        for host, lock in zip(hosts, locks):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                log.write(f"begun {host} {given['version']}\\n")
            except BlockingIOError:
                log.write(f"doubled {host}\\n")
        for _ in range(5):
            time.sleep(0.01)
            if cancel_callback():
                return
    event_handler({"event": "playbook_on_stats", "event_data": {"processed": dict.fromkeys(hosts, 1)}})
"""


@pytest.fixture(scope="module")
def server():
    if not sshd.installed() or shutil.which("ssh") is None:
        pytest.skip("OpenSSH is not installed: apt-get install openssh-server openssh-client")
    with sshd.SshServer(("127.0.64.1",)) as server:
        yield server


@pytest.fixture
def killed(world, server, tmp_path, monkeypatch):  # noqa: F811
    lives, root = [], tmp_path / "root"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "ansible_runner.py").write_text(RUNNER)
    monkeypatch.setenv("OCCOPUS_TEST_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"), prepend=os.pathsep)

    class Mortal(Ansible):
        def __init__(self, connection):
            super().__init__(Connection("ansible", {"root": str(root)}, server.auth, 600.0, connection.host_keys))
            for name in ("register", "configure", "status", "cancel", "forget", "forget_infrastructure"):
                setattr(self, name, mortal(lives, getattr(self, name)))

        def status(self, nodes):
            """Once nothing runs: the time of this world is virtual, that of the worker is not."""
            while True:
                found = super().status(nodes)
                if all(one.state is not ConfigState.RUNNING for one in found.values()):
                    return found
                time.sleep(0.01)

    world.install("resource", "memory", on(server, world.handler))
    world.install("config", "ansible", Mortal)
    world.lives, world.root, world.log, world.port = lives, root, tmp_path / "log", server.port
    return world


def define(world, version):  # noqa: F811
    variables = {"version": str(version)}  # the same in all tests: Ansible checks the syntax once
    section = {"type": "ansible", "port": world.port, "playbook": PLAYBOOK, "extra_vars": variables}
    world.define("web", implementations=[{"config": section, "resource": {"boot_seconds": 1}}])


def workers(root):
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if any(word.startswith(f"{root}/") for word in process.info["cmdline"] or ())
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


@pytest.mark.parametrize("worker", ["its worker lives on", "its worker is killed"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_doubled_and_nothing_is_left(killed, moment, worker):
    def struck():
        for process in workers(killed.root) if worker == "its worker is killed" else ():
            process.kill()
            process.wait(LONGEST)

    def nothing_is_left(infra_id, known):
        assert "doubled" not in killed.log.read_text()
        wait_until(lambda: workers(killed.root) == [])
        if worker == "its worker lives on":  # one that is killed as it ends leaves an empty folder
            assert list(killed.root.iterdir()) == []
        assert [node_id for node_id in known if list(killed.root.glob(f"*/nodes/{node_id}"))] == []

    Campaign(killed, lambda version: define(killed, version), nothing_is_left, struck).run(moment, KILLS)
