"""The contract's own suite on this handler."""

from __future__ import annotations

import pytest

from occopus_core.testing.conformance import ResourceHandlerConformance
from occopus_resource_ec2.testing.harness import Ec2Harness

pytestmark = pytest.mark.integration


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, ec2):
        harness = Ec2Harness(ec2)
        yield harness
        harness.close()
        assert ec2.inventory() == []
