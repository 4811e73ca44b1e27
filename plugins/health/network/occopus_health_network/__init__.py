"""Health checks over the network: is a node reachable, does it listen, does it serve."""

from occopus_health_network.checkers import Ping, Ports, Urls

__all__ = ["Ping", "Ports", "Urls"]
