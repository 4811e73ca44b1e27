"""The contract's own suite on this handler."""

from __future__ import annotations

import pytest

from occopus_core.testing.conformance import ResourceHandlerConformance
from occopus_resource_cloudbroker.testing.harness import CloudBrokerHarness

pytestmark = pytest.mark.integration


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, cloud):
        harness = CloudBrokerHarness(cloud)
        yield harness
        harness.close()
        assert cloud.platform.running() == []
