"""The harness of the manager for the conformance suite: a simulated configuration manager in a separate process."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from occopus_config_sim import SimManager
from occopus_core.api import ConfigManager, ConfigNode, Connection
from occopus_core.testing.config import ConfigHarness, Kind
from occopus_core.testing.conformance import Fault
from occopus_core.testing.simmanager.process import SimulatedManager
from occopus_core.testing.standing import until_exit

API_KEY = "hush-hush"
JOB_SECONDS = 0.05
ENDLESS_SECONDS = 100_000.0
RULES: Mapping[Fault, Mapping[str, Any]] = {
    Fault.AUTH: {"kind": "auth"},
    Fault.THROTTLE: {"kind": "throttle", "seconds": 3},
    Fault.PERMANENT: {"kind": "permanent"},
    Fault.SERVER_ERROR: {"kind": "error_500"},
    Fault.HANG: {"kind": "hang"},
    Fault.LOST_REPLY: {"kind": "lost_reply"},
    Fault.CUT_REPLY: {"kind": "cut_reply"},
    Fault.FOREIGN_REPLY: {"kind": "foreign_reply"},
}


class SimHarness(ConfigHarness):
    """A given manager, or one that is started once for the process."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("urllib3",)
    published: ClassVar[Mapping[str, Any]] = {"fqdn": "node.internal"}
    faults: ClassVar[frozenset[Fault]] = frozenset({*RULES, Fault.REFUSED_CONNECTION})
    grace: ClassVar[float] = 15.0
    printed: ClassVar[str] = "web: role not found"

    def __init__(self, server: SimulatedManager | None = None) -> None:
        super().__init__()
        self._server = server if server is not None else _shared_server()
        self._away = False

    def manager(self, *, call_timeout: float | None = None) -> ConfigManager:
        """A new manager on the server."""
        settings = {"endpoint": self._server.endpoint}
        return SimManager(Connection("sim", settings, {"api_key": API_KEY}, call_timeout or 30.0))

    def section(self, kind: Kind = "plain", variant: int = 0) -> Mapping[str, Any]:
        """A job of a fraction of a second, one that fails, or one that takes more than a day."""
        return {
            "endpoint": self._server.endpoint,
            "seconds": ENDLESS_SECONDS if kind == "endless" else JOB_SECONDS,
            "fail": "there is no such role" if kind == "failing" else "",
            "output": f"looking for the role\n{self.printed}\n",
            "publish": {"fqdn": "node.internal"},
            "role": ["web", variant],
        }

    def settle(self) -> None:
        """A fraction of the time that a job takes."""
        time.sleep(JOB_SECONDS / 5)

    def jobs(self, node: ConfigNode) -> int:
        """The number of jobs that the server has started for the node."""
        (held,) = [one for one in self._server.inventory()["nodes"] if one["node_id"] == node.node_id]
        return int(held["jobs"])

    def lose(self, node: ConfigNode) -> None:
        """Remove the node from the server."""
        self._server.change(node.node_id, "lose")

    def calls(self) -> int:
        """The number of calls to the server."""
        return sum(self._server.calls()["total"].values())

    def inject(self, fault: Fault) -> None:
        """Make every operation fail in this way, or kill the server."""
        if fault is Fault.REFUSED_CONNECTION:
            self._server.kill()
            self._away = True
        else:
            self._server.set_faults([RULES[fault]])

    def clear(self) -> None:
        """Start the server again and remove all rules. Idempotent."""
        if self._away:
            self._server.restart()
            self._away = False
        self._server.set_faults([])

    def close(self) -> None:
        """Remove all nodes of the harness from the server. Idempotent."""
        self.clear()
        manager = self.manager()
        for installation in (self.installation, f"{self.installation}-other"):
            held = [one for one in self._server.inventory()["nodes"] if one["installation"] == installation]
            for infra_id in {str(one["infra_id"]) for one in held}:
                manager.forget_infrastructure(infra_id)
            for one in held:
                self._server.change(one["node_id"], "lose")


@functools.cache
def _shared_server() -> SimulatedManager:
    """One for all clauses, until the process ends."""
    return until_exit(SimulatedManager(api_key=API_KEY))
