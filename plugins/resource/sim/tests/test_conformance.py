"""The handler against the contract, on a real server process."""

from __future__ import annotations

import pytest

from occopus_core.testing.conformance import ResourceHandlerConformance
from occopus_core.testing.conformance.simulated import CloudHarness
from occopus_core.testing.simcloud.process import SimulatedCloud
from occopus_resource_sim.testing import SimHarness

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cloud():
    with SimulatedCloud(api_key=CloudHarness.connection.auth["api_key"]) as cloud:
        yield cloud


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, cloud):
        harness = SimHarness(cloud)
        yield harness
        harness.close()
