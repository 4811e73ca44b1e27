"""The three checkers keep the contract."""

from __future__ import annotations

import icmplib
import pytest

from occopus_core.api import Probe
from occopus_core.testing.health import HealthCheckerConformance, HealthHarness
from occopus_health_network import Ping, Ports, Urls

TIMEOUT = 0.5


class TestPing(HealthCheckerConformance):
    @pytest.fixture
    def harness(self, monkeypatch):
        class Lossy(icmplib.ICMPv4Socket):
            def send(self, request):
                if request.destination != "127.0.0.9":
                    super().send(request)

        monkeypatch.setattr("occopus_health_network.icmp.ICMPv4Socket", Lossy)
        lost = Probe("ill", "127.0.0.9", True, TIMEOUT)
        return HealthHarness(Ping(), Probe("well", "127.0.0.1", True, TIMEOUT), lost, lost)


class TestPorts(HealthCheckerConformance):
    @pytest.fixture
    def harness(self, listening, refusing, silent):
        def probe(port):
            return Probe("node", "127.0.0.1", [port], TIMEOUT)

        return HealthHarness(Ports(), probe(listening()), probe(refusing), probe(silent))


class TestUrls(HealthCheckerConformance):
    @pytest.fixture
    def harness(self, web, listening):
        def probe(url, timeout=TIMEOUT):
            return Probe("node", "127.0.0.1", [url], timeout)

        return HealthHarness(
            Urls(),
            healthy=probe(f"{web}/200", 5.0),
            unhealthy=probe(web.replace("//", "//user:hidden@") + "/503?token=hidden"),
            silent=probe(f"http://127.0.0.1:{listening()}/"),
            secret="hidden",
        )
