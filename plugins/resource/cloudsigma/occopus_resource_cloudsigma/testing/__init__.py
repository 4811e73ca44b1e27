"""A simulated CloudSigma on this machine, for tests: a server with its API, a clock of its own, and faults."""

from occopus_resource_cloudsigma.testing.behaviour import Behaviour
from occopus_resource_cloudsigma.testing.faults import Fault
from occopus_resource_cloudsigma.testing.model import LIBRARY_DRIVE
from occopus_resource_cloudsigma.testing.server import EMAIL, PASSWORD, CloudSigma

__all__ = ["EMAIL", "LIBRARY_DRIVE", "PASSWORD", "Behaviour", "CloudSigma", "Fault"]
