"""The simulated configuration manager as a child process of a test."""

from __future__ import annotations

from typing import Any

from occopus_core.testing.simcloud.process import SimulatedServer


class SimulatedManager(SimulatedServer):
    """A running simulated configuration manager."""

    module = "occopus_core.testing.simmanager.server"
    what = "simulated configuration manager"

    def change(self, node_id: str, action: str, reason: str = "") -> None:
        """``lose`` a node, ``lose_job``, or ``fail`` it with a reason. Raises `ValueError` for an unknown node."""
        self._call("POST", "/change", {"node_id": node_id, "action": action, "reason": reason})

    def inventory(self) -> dict[str, Any]:
        """`nodes`, each with its `status`; `infrastructures`; `most_jobs` at the same time; `forgotten` nodes."""
        found: dict[str, Any] = self._call("GET", "/inventory")
        return found
