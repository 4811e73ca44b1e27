"""The configuration manager `chef` fulfils the contract, on a real goiardi behind a proxy with fault injection."""

from __future__ import annotations

import pytest

from occopus_config_chef.testing.harness import ChefHarness
from occopus_core.testing.config import ConfigManagerConformance


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self, goiardi):
        harness = ChefHarness(goiardi)
        yield harness
        harness.close()
