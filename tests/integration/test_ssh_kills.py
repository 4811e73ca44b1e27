"""Passes with the configuration manager `ssh` are killed at every boundary between two steps, on a real sshd.

``OCCOPUS_TEST_KILLS`` is how many kills there are at the most, of each kind of moment (5).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import random
from pathlib import Path

import psutil
import pytest

from occopus_config_ssh import SshManager
from occopus_core.api import Address, Connection
from occopus_core.engine.passes.errors import BusyError
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import NoSuchInfrastructureError
from occopus_core.testing import sshd

from ..unit.engine.conftest import World, empty_store, infrastructure, node, world  # noqa: F401  # fixtures
from ..unit.engine.fakes import KilledError, Life

pytestmark = pytest.mark.integration

STATE = Path("/var/lib/occopus")
MOMENTS = ("before commit", "after commit", "in a call", "after a call", "in a job call", "after a job call")
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

    def moment(kind):
        for life in lives:
            life.moment(kind)

    class Handler(world.handler):
        def create(self, request):
            return _there(super().create(request), server)

        def describe(self, ids):
            return {id: _there(one, server) for id, one in super().describe(ids).items()}

    class Mortal(SshManager):
        def __init__(self, connection):
            super().__init__(Connection("ssh", {}, server.auth, 120.0, connection.host_keys))

        def _run(self, *arguments):
            moment("in a job call")
            result = super()._run(*arguments)
            moment("after a job call")
            return result

    world.install("resource", "memory", Handler)
    world.install("config", "ssh", Mortal)
    world.rng = random.Random(str(tmp_path))  # node ids of its own: all worlds share the folder of jobs of this machine
    world.lives = lives
    world.log = tmp_path / "log"
    define(world, server, 1)
    return world


def _there(instance, server):
    return dataclasses.replace(instance, addresses=(Address(server.addresses[0]),))


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
    world, kills = killed, 0  # noqa: F811
    for number in itertools.count(1):
        define(world, server, 1)
        infra_id, description = f"infra{number}", infrastructure(node("web", min=2))
        life = Life(moment, number)
        world.lives[:] = [life]
        world.during = lambda operation, life=life: life.moment("in a call")
        world.answered = lambda operation, life=life: life.moment("after a call")
        try:
            world.build(description, infra_id=infra_id, life=life)
            define(world, server, 2)
            world.build(description, infra_id=infra_id, life=life)
            world.destroy(infra_id=infra_id, life=life)
        except KilledError:
            kills += 1
        world.lives.clear()
        world.during = world.answered = lambda operation: None
        world.clock.time += LEASE_SECONDS + 1
        world.clock._left = 5400.0
        if not life.over:
            break
        define(world, server, 2)
        known = [record.node_id for record in world.store.instances(infra_id)]
        try:
            world.build(description, infra_id=infra_id)
        except BusyError:  # killed in its destruction, which is finished below
            pass
        else:
            assert_configured(world, infra_id)
            known += [record.node_id for record in world.store.instances(infra_id)]
        assert "doubled" not in world.log.read_text()
        finish(world, infra_id)
        world.assert_nothing(infra_id)
        assert [node_id for node_id in known if (STATE / node_id).exists()] == []
        assert [job for job in jobs() if Path(job).parent.name in known] == []
        assert world.store.configurations.of(infra_id) == []
        if kills >= KILLS:
            break
    assert kills > 3, "it was never killed"
    print(f"{kills} kills {moment}")


def assert_configured(world, infra_id):  # noqa: F811
    rows = [row for row in world.store.configurations.of(infra_id) if row.forget_since is None]
    assert [row.state.value for row in rows] == ["ready", "ready"]
    lines = world.log.read_text().splitlines()
    assert all(f"begun {row.node_id} 2" in lines for row in rows)


def finish(world, infra_id):  # noqa: F811
    with contextlib.suppress(NoSuchInfrastructureError):
        world.destroy(infra_id=infra_id)
