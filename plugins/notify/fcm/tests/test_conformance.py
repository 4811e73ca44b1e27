"""The contract's own suite on this notifier."""

from __future__ import annotations

import pytest

from occopus_core.testing.notify import NotifierConformance
from occopus_notify_fcm.testing import FcmHarness


class TestConformance(NotifierConformance):
    @pytest.fixture
    def harness(self):
        harness = FcmHarness()
        yield harness
        harness.close()
