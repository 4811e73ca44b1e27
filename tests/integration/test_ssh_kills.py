"""Passes with the configuration manager `ssh` are killed at every boundary between two steps, on a real sshd.

``OCCOPUS_TEST_KILLS`` is how many kills there are at the most, of each kind of moment (5).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import psutil
import pytest

from occopus_config_ssh import SshManager
from occopus_core.api import Connection
from occopus_core.testing import sshd

from ..unit.engine.conftest import World, empty_store, world  # noqa: F401  # fixtures
from .kills import MOMENTS, Campaign, mortal, on

pytestmark = pytest.mark.integration

STATE = Path("/var/lib/occopus")
KILLS = int(os.environ.get("OCCOPUS_TEST_KILLS", "5"))


@pytest.fixture(scope="module")
def server():
    if not sshd.installed():
        pytest.skip("OpenSSH is not installed: apt-get install openssh-server")
    with sshd.SshServer(("127.0.63.1",)) as server:
        yield server


@pytest.fixture
def killed(world, server, tmp_path):  # noqa: F811
    """A world whose nodes are configured over SSH. Each job writes a line at its begin, and one where another runs."""
    lives = []

    class Mortal(SshManager):
        def __init__(self, connection):
            super().__init__(Connection("ssh", {}, server.auth, 120.0, connection.host_keys))
            self._run = mortal(lives, self._run)

    world.install("resource", "memory", on(server, world.handler))
    world.install("config", "ssh", Mortal)
    world.rng = random.Random(str(tmp_path))  # node ids of its own: all worlds share the folder of jobs of this machine
    world.lives = lives
    world.log = tmp_path / "log"
    define(world, server, 1)
    return world


def define(world, server, version):  # noqa: F811
    log, lock = world.log, world.log.with_suffix(".{{ node_id }}")
    job = f"flock -n {lock} sh -c 'echo begun {{{{ node_id }}}} {version} >>{log}; sleep 0.02' || echo doubled >>{log}"
    section = {"type": "ssh", "port": server.port, "commands": [job, f"test -e {log}"]}
    world.define("web", implementations=[{"config": section, "resource": {"boot_seconds": 1}}])


def jobs():
    """The jobs that run for nodes, by their command lines."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if words[:1] == ["sh"] and words[-1].startswith(f"{STATE}/") and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(words[-1])
    return found


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_doubled_and_nothing_is_left(killed, server, moment):
    def nothing_is_left(infra_id, known):
        assert "doubled" not in killed.log.read_text()
        assert [node_id for node_id in known if (STATE / node_id).exists()] == []
        assert [job for job in jobs() if Path(job).parent.name in known] == []

    Campaign(killed, lambda version: define(killed, server, version), nothing_is_left).run(moment, KILLS)
