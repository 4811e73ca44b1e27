"""The health check `ssh`, on a real OpenSSH server."""

from __future__ import annotations

import itertools

import pytest

from occopus_core.api import Probe
from occopus_core.api.ssh import MemoryHostKeys, generate_host_key
from occopus_core.testing.health import HealthCheckerConformance
from occopus_core.testing.ports import held_port
from occopus_health_ssh import SshCommand
from occopus_health_ssh.testing import SshHarness

SECONDS = 60.0


@pytest.fixture
def probe(server):
    numbers = itertools.count()
    keys = MemoryHostKeys()

    def make(command="true", address=None, timeout=SECONDS, auth=server.auth, **value):
        value = {"port": server.port, "command": command, "connect_timeout": SECONDS, **value}
        where = server.addresses[0] if address is None else address
        return Probe(f"n{next(numbers)}", where, value, timeout, auth, keys)

    return make


def look(*probes):
    return [(verdict.healthy, verdict.reason) for verdict in SshCommand().check(probes)]


class TestConformance(HealthCheckerConformance):
    @pytest.fixture
    def harness(self, server):
        harness = SshHarness(server)
        yield harness
        harness.close()


def test_the_exit_code_decides_and_the_last_line_is_shown(server, probe):
    place = f"{server.addresses[0]}:{server.port}"
    assert look(probe("exit 0"), probe("echo starting; echo degraded; exit 3"), probe("exit 2")) == [
        (True, ""),
        (False, f"the command on {place} ended with exit code 3: degraded"),
        (False, f"the command on {place} ended with exit code 2"),
    ]


def test_a_pattern_must_be_in_the_output(server, probe):
    (well, _), (_, reason) = look(
        probe("echo 'is running'", pattern="running"), probe("echo broken", pattern="running")
    )
    assert well
    assert reason == f"the command on {server.addresses[0]}:{server.port} did not print the pattern: broken"


def test_a_wrong_key(server, probe):
    ((_, reason),) = look(probe(auth={"user": "admin", "private_key": generate_host_key().private}))
    assert reason == f"{server.addresses[0]}:{server.port} refused the key of the SSH user 'admin'"


def test_no_credentials(probe):
    ((_, reason),) = look(probe(auth={}))
    assert reason.startswith("no key and no password for the SSH user 'root'")


def test_nothing_listens(probe):
    with held_port() as port:
        ((_, reason),) = look(probe(port=port))
    assert reason.endswith("cannot be reached: Connection refused")


def test_a_changed_host_key(probe):
    asked = probe()
    asked.host_keys.pin(asked.node_id, generate_host_key().public)
    ((healthy, reason),) = look(asked)
    assert not healthy
    assert "shows another host key than the one pinned for it" in reason


def test_a_command_that_hangs(server, probe):
    checker, warm = SshCommand(), probe("sleep 1000", timeout=1.0)
    checker.check([probe()])
    ((healthy, reason),) = [(verdict.healthy, verdict.reason) for verdict in checker.check([warm])]
    assert not healthy
    assert f"{server.addresses[0]}:{server.port}" in reason
    assert " within " in reason


def test_connections_are_reused(probe):
    checker, asked = SshCommand(), probe("echo $PPID | grep -v . ")
    reasons = {checker.check([asked])[0].reason for _ in range(2)}
    assert len(reasons) == 1
    first = probe("echo $PPID >&2; exit 1")
    assert checker.check([first])[0].reason == checker.check([first])[0].reason
