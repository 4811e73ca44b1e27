"""The configuration manager `ansible` keeps the contract, with real ansible-core over a real sshd."""

from __future__ import annotations

import pytest

from occopus_config_ansible.testing import AnsibleHarness
from occopus_core.testing.config import ConfigManagerConformance


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self, sshd):
        harness = AnsibleHarness(sshd)
        yield harness
        harness.close()
