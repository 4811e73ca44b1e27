"""The simulated configuration manager as a server: JSON over HTTP on a loopback port.

What a client calls, each a POST below ``/nodes``; with ``--api-key``, each needs the key in ``X-Api-Key``::

    register, configure, cancel, forget   {nodes: [{node_id, installation, infra_id, node_name, token, section,
                                           attributes, mapped, generation, addresses, peers}]}  -> {}
    status                 {nodes}          -> {status: {node_id: {state, reason, progress, generation, attributes,
                                               output}}}
    leave                  {nodes}          -> {left}
    forget_infrastructure  {infra_id}       -> {}
    list                   {installation}   -> {nodes: [{infra_id, node_name, node_id}]}

What a test calls: ``PUT /faults``, ``GET /calls``, ``GET /log`` and ``POST /reset`` as of the simulated cloud, and::

    POST /change     {node_id, action, reason}   lose a node, lose_job, or fail it
    GET  /inventory  -> {nodes, infrastructures, most_jobs, forgotten}

What it holds is on disk before a call is answered; faults and counts are of the process only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette

from occopus_core.testing.simcloud.server import Act, SimulatedApplication, serve
from occopus_core.testing.simmanager.service import OPERATIONS, ManagerService


class HeldFile:
    """A file with all data of a manager; it survives the death of the server at any instruction."""

    def __init__(self, path: Path) -> None:
        self.service: ManagerService
        self._path = path
        self._changed = False

    def load(self, service: ManagerService) -> None:
        """Load the data that an earlier process has written. Raises `OSError`, `ValueError`."""
        self.service = service
        if self._path.exists():
            service.restore(json.loads(self._path.read_text()))

    def record(self) -> None:
        """Schedule a write before the next answer."""
        self._changed = True

    async def committed(self) -> None:
        """Write pending changes."""
        if self._changed:
            self._changed = False
            draft = self._path.with_suffix(".draft")
            draft.write_text(json.dumps(self.service.dump()))
            draft.replace(self._path)


def application(
    database: Path, *, clock: Callable[[], float] = time.time, seed: int = 0, api_key: str | None = None
) -> Starlette:
    """The simulated configuration manager on this file. Raises `OSError`, `ValueError`."""
    file = HeldFile(database)
    service = ManagerService(clock, seed, file.record)
    file.load(service)
    more: list[tuple[str, str, Act]] = [
        ("POST", "/change", lambda body: service.change(**body)),
        ("GET", "/inventory", lambda _body: service.inventory()),
    ]
    operations = {f"/nodes/{each}": each for each in OPERATIONS}
    return SimulatedApplication(service, file, api_key, operations, more).routes()


def main() -> None:
    """Serve the simulated configuration manager until the process is stopped."""
    serve("occopus-simulated-manager", "A simulated configuration manager on a loopback port, for tests.", application)


if __name__ == "__main__":
    main()
