"""Processes that share one infrastructure: by their arguments they request scaling or maintain it."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable

from occopus_core.credentials import Credentials
from occopus_core.engine.kernel import journal
from occopus_core.engine.passes import context
from occopus_core.manager import InfrastructureManager
from occopus_core.settings import Settings
from occopus_core.store import change, repository

LEASE_SECONDS = 2.0
"""How long a killed maintainer keeps the others waiting."""

INTERVAL = 0.1
LARGEST_STEP = 5
LARGEST_COUNT = 30


def ask(manager: InfrastructureManager, infra_id: str, count: str, seed: str) -> None:
    """Send this many mixed requests."""
    rng = random.Random(int(seed))
    for _ in range(int(count)):
        if rng.random() < 0.2:
            manager.scale_to(infra_id, "web", rng.randrange(LARGEST_COUNT))
            continue
        step = rng.randint(-LARGEST_STEP, LARGEST_STEP)
        instance = ""
        if step < 0 and rng.random() < 0.3:
            instance = rng.choice([one.node_id for one in manager.snapshot(infra_id).nodes["web"]] or [""])
        manager.scale_by(infra_id, "web", -1 if instance else step, instance)


def keep(manager: InfrastructureManager, infra_id: str) -> None:
    """Maintain until SIGTERM comes or the infrastructure is gone."""
    for module in (change, journal, repository, context):
        module.LEASE_SECONDS = LEASE_SECONDS
    rounds = manager.rounds(INTERVAL)
    signal.signal(signal.SIGTERM, lambda *_: rounds.stop())
    rounds.attach(infra_id)
    rounds.run(until_none_left=True)


ROLES: dict[str, Callable[..., None]] = {"ask": ask, "keep": keep}

if __name__ == "__main__":
    role, *words = sys.argv[1:]
    with InfrastructureManager(
        Settings.load(),
        Credentials(),
        process_strategy="parallel",
        on_error=lambda *said: print(*said, file=sys.stderr),
    ) as made:
        ROLES[role](made, *words)
