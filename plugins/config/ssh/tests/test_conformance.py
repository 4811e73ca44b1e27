"""The configuration manager `ssh` fulfils the contract, on a real OpenSSH server."""

from __future__ import annotations

import pytest

from occopus_config_ssh.testing import Noting, SshHarness
from occopus_core.api import Connection
from occopus_core.testing.config import ConfigManagerConformance


class Endless(Noting):
    """A faulty manager without a time limit."""

    @property
    def _seconds(self):
        return 100_000.0


class EndlessHarness(SshHarness):
    """Its sections limit a login to 2 s."""

    grace = 0.5
    login_seconds = 2.0

    def manager(self, *, call_timeout=None):
        return Endless(Connection("ssh", {}, self.server.auth, call_timeout or 60.0), self.nodes)


def test_a_manager_without_a_time_limit_fails_its_clause(server):
    harness = EndlessHarness(server)
    try:
        with pytest.raises(AssertionError, match=r"\w+ hung for \d"):
            ConfigManagerConformance().test_hang(harness)
    finally:
        harness.close()


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self, server):
        harness = SshHarness(server)
        yield harness
        harness.close()
