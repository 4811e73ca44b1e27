"""The three checkers fulfil the contract."""

from __future__ import annotations

import pytest

from occopus_core.testing.health import HealthCheckerConformance
from occopus_health_network.testing import ping_harness, ports_harness, urls_harness


@pytest.mark.parametrize("make", [ping_harness, ports_harness, urls_harness])
class TestConformance(HealthCheckerConformance):
    @pytest.fixture
    def harness(self, make):
        harness = make()
        yield harness
        harness.close()
