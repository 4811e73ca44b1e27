"""A script for `passes.py`: fills a store with infrastructures, or looks after all of them and says what that took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from occopus_core.credentials import Credentials
from occopus_core.manager import InfrastructureManager
from occopus_core.settings import Settings

PASSES = 4
"""The first is not counted: it makes the connections."""


def build(manager: InfrastructureManager, infra_ids: Sequence[str], description: str) -> None:
    """Build the same infrastructure many times."""
    for infra_id in infra_ids:
        manager.build(manager.load(description), infra_id)


def maintain(manager: InfrastructureManager, infra_ids: Sequence[str], result: str) -> None:
    """A few passes over all of them; writes the CPU seconds of each."""
    seconds = []
    for _ in range(PASSES):
        began = time.process_time()
        one_round(manager, infra_ids)
        seconds.append(time.process_time() - began)
    Path(result).write_text(json.dumps(seconds[1:]), "utf-8")


def one_round(manager: InfrastructureManager, infra_ids: Sequence[str]) -> None:
    """One pass over each, as `occopus-maintain -c` and the service make them."""
    rounds = manager.rounds(interval=1.0)
    for infra_id in infra_ids:
        rounds.attach(infra_id)
        rounds.detach(infra_id)
    rounds.run(until_none_left=True)


ROLES = {"build": build, "maintain": maintain}

if __name__ == "__main__":
    role, count, path = sys.argv[1:]
    with InfrastructureManager(Settings.load(), Credentials(), process_strategy="parallel") as made:
        ROLES[role](made, [f"benchmark-{number}" for number in range(int(count))], path)
