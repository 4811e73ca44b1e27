"""A build killed at any moment loses nothing: destroy finds all of it, and a build continues."""

from __future__ import annotations

import random
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.integration

SEEDS = 10
LINES = 36
DESCRIBED = {"db": 2, "web": 2, "lb": 2, "aside": 2}


@pytest.fixture
def user(workspace, cloud, describe):
    workspace.ready("import", workspace.write("nodes.yaml", cloud.definitions("worker", boot_seconds=0.05, steps=2)))
    workspace.write("trial.yaml", describe(*DESCRIBED, min=2, edges=[("web", "db"), ("lb", "web")]))
    return workspace


def test_destroy_and_build_after_a_kill_at_a_random_moment(user, cloud):
    def killed(infra_id: str, seed: int) -> bool:
        """Whether the kill came after the first step."""
        rng = random.Random(seed)
        line, pause = rng.randrange(1, LINES), rng.random() * 0.04
        options = ["--parallelize"] if seed % 2 else []
        user.run_to_line(line, pause, signal.SIGKILL, "build", "trial.yaml", "-i", infra_id, *options)
        return user.rows(infra_id) > 0

    def destroyed(seed: int) -> None:
        infra_id = f"d-{seed}"
        begun = killed(infra_id, seed)
        # The lease of the dead process lasts a while yet; destroy waits for it.
        ended = user.run("destroy", "-i", infra_id)
        assert ended.code == (0 if begun else 3), ended
        assert cloud.machines(infra_id) == []
        assert user.rows(infra_id) == 0

    def rebuilt(seed: int) -> None:
        infra_id = f"b-{seed}"
        killed(infra_id, seed)
        # So does a build.
        assert user.ready("build", "trial.yaml", "-i", infra_id).stdout == f"{infra_id}\n"
        machines = cloud.machines(infra_id)
        assert Counter(machine["owner"]["node_name"] for machine in machines) == DESCRIBED
        known = user.query("SELECT instance_id, stage FROM instances WHERE infra_id = ?", infra_id)
        assert sorted(known) == sorted((machine["id"], "ready") for machine in machines)

    with ThreadPoolExecutor(2 * SEEDS) as threads:
        attempts = [threads.submit(what, seed) for seed in range(SEEDS) for what in (destroyed, rebuilt)]
    for attempt in attempts:
        attempt.result()


def test_the_holder_of_the_infrastructure_is_reported(user):
    user.run_to_line(3, 0.0, signal.SIGKILL, "build", "trial.yaml", "-i", "held")
    ended = user.ready("build", "trial.yaml", "-i", "held")
    (line,) = [line for line in ended.complaint if line.startswith("waiting: ")]
    assert "which does not exist any more: its lease ends in " in line
    assert "process " in line
