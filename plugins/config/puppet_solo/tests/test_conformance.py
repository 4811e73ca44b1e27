"""The configuration manager `puppet_solo` fulfils the contract, as far as it applies without a server."""

from __future__ import annotations

import pytest

from occopus_config_puppet_solo.testing import PuppetHarness
from occopus_core.testing.config import ConfigManagerConformance


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self):
        return PuppetHarness()
