"""The configuration manager `ssh` keeps the contract, on a real OpenSSH server."""

from __future__ import annotations

import pytest

from occopus_config_ssh.testing import SshHarness
from occopus_core.testing.config import ConfigManagerConformance


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self, server):
        harness = SshHarness(server)
        yield harness
        harness.close()
