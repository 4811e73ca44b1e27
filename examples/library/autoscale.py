"""Occopus as a library: build the quick start, keep it alive in the background, scale it, tear it down.

Run it from the checkout, after `make venv`:  .venv/bin/python examples/library/autoscale.py
"""

from __future__ import annotations

import time
from pathlib import Path

from occopus_core import InfrastructureManager
from occopus_core.events import Event

QUICKSTART = Path(__file__).parent.parent / "quickstart"


def show(event: Event) -> None:
    """Print what happens while it happens."""
    print(event.kind.value, event.node_name, event.node_id[:8], event.text)


def main() -> None:
    """Build, scale, destroy."""
    with InfrastructureManager(process_strategy="parallel", observer=show, interval=1.0) as manager:
        manager.import_node_definitions(str(QUICKSTART / "nodes.yaml"))
        infra_id = manager.add(QUICKSTART / "infra.yaml")  # built by the first pass, in the background
        print("added", infra_id)
        try:
            wait_for(manager, infra_id, web=2)
            manager.scale_by(infra_id, "web", +1)
            wait_for(manager, infra_id, web=3)
        finally:  # also when it is interrupted
            manager.stop_provisioning(infra_id, idempotent=True)
            manager.tear_down(infra_id)


def wait_for(manager: InfrastructureManager, infra_id: str, web: int) -> None:
    """Wait until so many web nodes are ready."""
    while True:
        instances = manager.report(infra_id)["web"]["instances"].values()
        if sum(instance["state"] == "ready" for instance in instances) >= web:
            return
        time.sleep(0.2)


if __name__ == "__main__":
    main()
