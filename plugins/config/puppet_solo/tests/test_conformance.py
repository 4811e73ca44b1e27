"""The configuration manager `puppet_solo` keeps the contract, as far as something without a server can."""

from __future__ import annotations

import pytest

from occopus_config_puppet_solo.testing import PuppetHarness
from occopus_core.testing.config import ConfigManagerConformance


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self):
        return PuppetHarness()
