"""Health checks over the network: pings, TCP ports and URLs."""

from occopus_health_network.checkers import Ping, Ports, Urls

__all__ = ["Ping", "Ports", "Urls"]
