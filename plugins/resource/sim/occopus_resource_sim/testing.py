"""The harness of the handler for the conformance suite: a simulated cloud in a separate process."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from unittest import mock

from occopus_core.api import Connection, ResourceHandler
from occopus_core.testing.conformance import Fault, Operation
from occopus_core.testing.conformance.simulated import CloudFaults, CloudHarness
from occopus_core.testing.simcloud.process import SimulatedCloud
from occopus_core.testing.standing import until_exit
from occopus_resource_sim import SimHandler, handler


class SimFaults(CloudFaults):
    """Fault rules of the server; for an unreachable provider it kills the server."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        super().__init__(cloud)
        self._server = cloud
        self._away = False

    def inject(self, fault: Fault, operation: Operation) -> None:
        """Add a rule, or kill the server."""
        if fault is Fault.REFUSED_CONNECTION:
            self._server.kill()
            self._away = True
        else:
            super().inject(fault, operation)

    def clear(self) -> None:
        """Start the server again and remove all rules."""
        if self._away:
            self._server.restart()
            self._away = False
        super().clear()


class SimHarness(CloudHarness):
    """Small pages, so that the clauses about pages need few instances."""

    sdk_modules = ("urllib3",)
    times = {"boot_seconds": 0.05, "delete_seconds": 0.05}  # noqa: RUF012 - declared as a ClassVar by the base

    def __init__(self, cloud: SimulatedCloud | None = None) -> None:
        chosen = cloud if cloud is not None else _shared_cloud()
        super().__init__(chosen, SimFaults(chosen))
        self.connection = replace(self.connection, settings={"endpoint": chosen.endpoint})
        self._pages = mock.patch.object(handler, "_PAGE", self.page_size)
        self._pages.start()

    def connected(self, connection: Connection) -> ResourceHandler:
        """A handler of this package."""
        return SimHandler(connection)

    def settle(self) -> None:
        """A fifth of the time that an instance takes."""
        time.sleep(0.01)

    def close(self) -> None:
        """Delete the instances that were made and restore the page sizes. Idempotent."""
        super().close()
        self.cloud.set_limits()
        self._pages.stop()


@functools.cache
def _shared_cloud() -> SimulatedCloud:
    """One server for all clauses, until the process ends."""
    return until_exit(SimulatedCloud(api_key=CloudHarness.connection.auth["api_key"]))
