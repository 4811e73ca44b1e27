"""The contract's own suite on both handlers."""

from __future__ import annotations

import pytest

from occopus_core.testing.conformance import ResourceHandlerConformance
from occopus_resource_azure.testing.harness import AciHarness, VmHarness

pytestmark = pytest.mark.integration


class TestVm(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, azure):
        harness = VmHarness(azure)
        yield harness
        harness.close()
        assert azure.inventory() == []


class TestAci(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, azure):
        harness = AciHarness(azure)
        yield harness
        harness.close()
        assert azure.inventory() == []
