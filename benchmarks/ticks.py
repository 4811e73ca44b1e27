"""Many infrastructures without changes, maintained as by a service: the cost of each per tick."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import build, child, shapes
from benchmarks.passes import QUIET_INSTANCES, SCRIPT
from occopus_core.testing.simcloud.process import SimulatedCloud
from tests import postgresql

INTERVAL = 10.0
"""Seconds between two passes over one infrastructure."""

SECONDS = 30.0
"""The duration of the measurement."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """The resources that maintenance has used without changes."""

    infrastructures: int
    store: str
    interval: float
    wall: float
    cpu: float
    """Seconds of user and system time."""
    passes: int
    """The number of passes."""
    memory: float
    """Most resident memory of the process, in MiB."""
    calls: float
    """Calls to the cloud for each interval."""

    @property
    def milliseconds(self) -> float:
        """CPU for one infrastructure and tick."""
        return self.cpu / self.passes * 1000


def measure(infrastructures: int, store: str, interval: float = INTERVAL, seconds: float = SECONDS) -> Ticked:
    """This many infrastructures of three instances in a store of this kind. Raises `child.ChildError`."""
    with SimulatedCloud() as cloud, _database(store) as url, build.workspace(url) as here:
        shape = shapes.independent(1, 0.0)
        here.run("occopus-import", here.write("nodes.yaml", shape.definitions(cloud.endpoint)))
        description = here.write("infrastructure.yaml", shape.infrastructure(QUIET_INSTANCES))
        here.script(SCRIPT, "fill", str(infrastructures), description)
        if len(cloud.inventory()) != infrastructures * QUIET_INSTANCES:
            raise child.ChildError(f"{len(cloud.inventory())} instances exist in place of {infrastructures} times 3")
        before = cloud.calls()["total"]["describe"]
        used = here.script(SCRIPT, "tick", str(infrastructures), f"{interval},{seconds},result.json")
        result = json.loads((here.folder / "result.json").read_text("utf-8"))
        calls = cloud.calls()["total"]["describe"] - before
        if result["errors"]:
            raise child.ChildError(f"{result['errors']} passes failed")
    rounds = result["passes"] / infrastructures + 2
    return Ticked(
        infrastructures, store, interval, result["wall"], result["cpu"], result["passes"], used.memory, calls / rounds
    )


@contextlib.contextmanager
def _database(store: str) -> Iterator[str]:
    if store == "SQLite":
        yield ""
        return
    with postgresql.running() as server:
        yield server.new_database()


if __name__ == "__main__":
    for word in sys.argv[2:]:
        print(measure(int(word), sys.argv[1]))
