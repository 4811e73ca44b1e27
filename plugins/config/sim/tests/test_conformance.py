"""The plugin of the simulated configuration manager fulfils the contract, on a real server process."""

from __future__ import annotations

import pytest

from occopus_config_sim.testing import API_KEY, SimHarness
from occopus_core.testing.config import ConfigManagerConformance
from occopus_core.testing.simmanager.process import SimulatedManager

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server():
    with SimulatedManager(api_key=API_KEY) as server:
        yield server


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self, server):
        harness = SimHarness(server)
        yield harness
        harness.close()
        assert server.inventory()["nodes"] == []
