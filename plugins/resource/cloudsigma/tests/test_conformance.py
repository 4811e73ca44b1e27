"""The contract's own suite on this handler."""

from __future__ import annotations

import pytest

from occopus_core.testing.conformance import ResourceHandlerConformance
from occopus_resource_cloudsigma.testing import CloudSigma
from occopus_resource_cloudsigma.testing.harness import CloudSigmaHarness

pytestmark = pytest.mark.integration


class UnpagedHarness(CloudSigmaHarness):
    """An installation that returns all entries at once, as the known ones do."""

    paged = False


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, request):
        """Paged for the clauses about pages, else unpaged."""
        with CloudSigma() as cloud:
            harness = (CloudSigmaHarness if "page" in request.node.name else UnpagedHarness)(cloud)
            yield harness
            harness.close()
            assert cloud.inventory() == []
