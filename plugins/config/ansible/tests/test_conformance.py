"""The configuration manager `ansible` fulfils the contract, with real ansible-core and a real sshd."""

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
