"""The contract's own suite on this handler; the provider is this host."""

from __future__ import annotations

import pytest

from occopus_core.testing.conformance import ResourceHandlerConformance
from occopus_resource_local.testing import LocalHarness


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, tmp_path):
        harness = LocalHarness(tmp_path)
        yield harness
        harness.close()
        assert [path.name for path in tmp_path.rglob("*")] in ([], ["addresses"])
