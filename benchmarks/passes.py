"""Maintenance passes over healthy instances: the cost of each additional instance."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import build, child, shapes
from benchmarks.upkeep import PASSES
from occopus_core.testing.simcloud.process import SimulatedCloud

INFRASTRUCTURES = 100
SCRIPT = Path(__file__).with_name("upkeep.py")


@dataclass(frozen=True, slots=True)
class Passed:
    """The resources used by one pass over all infrastructures."""

    instances: int
    cpu: float
    """Seconds, the median of some passes."""
    memory: float
    """Most resident memory of the process, in MiB."""
    calls: float
    """Calls to the cloud in one pass over all."""


QUIET_INSTANCES = 3


def quiet(infrastructures: int) -> Passed:
    """Passes over this many infrastructures of three instances each. Raises `child.ChildError`."""
    return measure(infrastructures * QUIET_INSTANCES, infrastructures)


def measure(instances: int, infrastructures: int = INFRASTRUCTURES) -> Passed:
    """Passes over this many instances in this many infrastructures. Raises `child.ChildError`."""
    with SimulatedCloud() as cloud, build.workspace() as here:
        shape = shapes.independent(1, 0.0)
        here.run("occopus-import", here.write("nodes.yaml", shape.definitions(cloud.endpoint)))
        description = here.write("infrastructure.yaml", shape.infrastructure(instances // infrastructures))
        here.script(SCRIPT, "build", str(infrastructures), description)
        before = _calls(cloud)
        used = here.script(SCRIPT, "maintain", str(infrastructures), "seconds.json")
        calls = (_calls(cloud) - before) / PASSES
        if len(cloud.inventory()) != instances:
            raise child.ChildError(f"{len(cloud.inventory())} instances exist in place of {instances}")
        seconds = json.loads((here.folder / "seconds.json").read_text("utf-8"))
    return Passed(instances, statistics.median(seconds), used.memory, calls)


def _calls(cloud: SimulatedCloud) -> int:
    return sum(cloud.calls()["total"].values())


if __name__ == "__main__":
    for word in sys.argv[1:]:
        print(quiet(int(word)))
