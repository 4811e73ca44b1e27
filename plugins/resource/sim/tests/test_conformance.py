"""The handler against the contract, on a real server process."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from occopus_core.testing.conformance import Fault, ResourceHandlerConformance
from occopus_core.testing.conformance.simulated import CloudFaults, CloudHarness
from occopus_core.testing.simcloud.process import SimulatedCloud
from occopus_resource_sim import SimHandler

pytestmark = pytest.mark.integration


class SimFaults(CloudFaults):
    """Takes the server away where nobody is to listen."""

    def __init__(self, cloud):
        super().__init__(cloud)
        self._server = cloud
        self._away = False

    def inject(self, fault, operation):
        if fault is Fault.REFUSED_CONNECTION:
            self._server.kill()
            self._away = True
        else:
            super().inject(fault, operation)

    def clear(self):
        if self._away:
            self._server.restart()
            self._away = False
        super().clear()


class SimHarness(CloudHarness):
    sdk_modules = ("urllib3",)
    times = {"boot_seconds": 0.05, "delete_seconds": 0.05}

    def __init__(self, cloud):
        super().__init__(cloud, SimFaults(cloud))
        self.connection = replace(self.connection, settings={"endpoint": cloud.endpoint})

    def connected(self, connection):
        return SimHandler(connection)

    def settle(self):
        time.sleep(0.01)

    def close(self):
        super().close()
        self.cloud.set_limits()


@pytest.fixture(scope="module")
def cloud():
    with SimulatedCloud(api_key=CloudHarness.connection.auth["api_key"]) as cloud:
        yield cloud


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, cloud, monkeypatch):
        monkeypatch.setattr("occopus_resource_sim.handler._PAGE", SimHarness.page_size)
        harness = SimHarness(cloud)
        yield harness
        harness.close()
