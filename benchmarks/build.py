"""Shapes built by the commands, on a simulated cloud in a separate process."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import child
from benchmarks.shapes import Shape
from occopus_core.testing.simcloud.process import SimulatedCloud

INFRASTRUCTURE = "benchmark"
"""The id of the infrastructure."""


@dataclass(frozen=True, slots=True)
class Built:
    """One shape built, planned again without changes, and destroyed."""

    build: child.Usage
    calls: int
    """Calls to the cloud during the build."""
    ticks: int
    """The number of these that polled states: one for each tick while an instance was booting."""
    plan: child.Usage
    destroy: child.Usage


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with its own home and store, to run the commands in."""

    folder: Path
    store: str = ""
    """The URL of its store; if empty, a file in the folder."""

    def run(self, command: str, *arguments: str) -> child.Usage:
        """Run one of the installed commands. Raises `child.ChildError`."""
        return self._run(executable(command), *arguments)

    def script(self, path: Path, *arguments: str) -> child.Usage:
        """Run a script of Python. Raises `child.ChildError`."""
        return self._run(sys.executable, path, *arguments)

    def _run(self, *command: str | Path) -> child.Usage:
        return child.run(command, self.folder, self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the commands."""
        return {"HOME": str(self.folder), "OCCOPUS_STORE": self.store or f"sqlite:///{self.folder}/store.sqlite"}

    def write(self, name: str, text: str) -> str:
        """Write a file to the folder; return its name."""
        (self.folder / name).write_text(text, "utf-8")
        return name


def executable(command: str) -> Path:
    """The path of a command: next to the running Python."""
    return Path(sys.executable).with_name(command)


@contextlib.contextmanager
def workspace(store: str = "") -> Iterator[Workspace]:
    """A temporary workspace."""
    with tempfile.TemporaryDirectory(prefix="occopus-benchmark-") as folder:
        yield Workspace(Path(folder), store)


def build(shape: Shape) -> Built:
    """Import, build, plan and destroy the shape. Raises `child.ChildError`."""
    with SimulatedCloud() as cloud, workspace() as here:
        here.run("occopus-import", here.write("nodes.yaml", shape.definitions(cloud.endpoint)))
        description = here.write("infrastructure.yaml", shape.infrastructure())
        built = here.run("occopus-build", description, "-i", INFRASTRUCTURE, "--parallelize")
        totals = cloud.calls()["total"]
        if len(cloud.inventory()) != len(shape.nodes):
            raise child.ChildError(f"{len(cloud.inventory())} instances exist in place of {len(shape.nodes)}")
        planned = here.run("occopus-build", description, "-i", INFRASTRUCTURE, "--plan")
        destroyed = here.run("occopus-destroy", "-i", INFRASTRUCTURE)
        if left := cloud.inventory():
            raise child.ChildError(f"{len(left)} instances are left after the infrastructure was destroyed")
    return Built(built, sum(totals.values()), totals["describe"], planned, destroyed)
