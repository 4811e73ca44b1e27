"""The harness of the handler. It needs a whole OpenStack, which is not part of the package."""

from __future__ import annotations

from occopus_core.testing.conformance import ResourceHarness
from occopus_core.testing.standing import Unavailable


def nova_harness() -> ResourceHarness:
    """Raises `Unavailable`: the suite runs on a real OpenStack that the tests of a checkout set up."""
    raise Unavailable("it needs an OpenStack: in a checkout, 'make test-openstack' sets one up and runs the suite")
