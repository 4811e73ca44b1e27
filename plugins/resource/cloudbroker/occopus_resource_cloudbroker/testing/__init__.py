"""A simulated CloudBroker Platform on this machine, for tests."""

from occopus_resource_cloudbroker.testing.faults import Fault
from occopus_resource_cloudbroker.testing.platform import DEPLOYMENT, EMAIL, INSTANCE_TYPE, KEY_PAIR, PASSWORD, Platform
from occopus_resource_cloudbroker.testing.server import Server

__all__ = ["DEPLOYMENT", "EMAIL", "INSTANCE_TYPE", "KEY_PAIR", "PASSWORD", "Fault", "Platform", "Server"]
