"""The contract's own suite on this handler, with Docker's engine and with Podman's."""

from __future__ import annotations

import pytest

from occopus_core.testing.conformance import ResourceHandlerConformance
from occopus_resource_docker.testing.harness import DockerHarness

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, stage, request):
        """Docker through its socket, Podman through a port."""
        podman = "podman" in request.node.callspec.params.values()
        harness = DockerHarness(stage, stage.proxy.tcp_endpoint if podman else stage.proxy.endpoint)
        yield harness
        harness.close()
        assert stage.engine.containers() == []
