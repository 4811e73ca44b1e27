"""The CPU time that the commands take to start, in units of an empty Python program."""

from __future__ import annotations

import importlib.metadata
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import build, shapes
from occopus_core.testing.simcloud.process import SimulatedCloud

IDLE = "python -c pass"
INFRASTRUCTURES = 100
DESCRIPTION = "infrastructure.yaml"
SERVICES = frozenset({"occopus-simulated-cloud"})
"""Commands that are not for users."""


@dataclass(frozen=True, slots=True)
class Started:
    """The median CPU time of one command; other work on the machine affects it less than the elapsed time."""

    command: str
    seconds: float
    ratio: float
    """The multiple of ``python -c pass``."""


def measure(runs: int) -> list[Started]:
    """Every command's help, a list of 100 infrastructures, and the plan of one. Raises `child.ChildError`."""
    with SimulatedCloud() as cloud, build.workspace() as here:
        _populate(here, cloud.endpoint)
        lines: dict[str, tuple[str, ...]] = {IDLE: (Path(sys.executable).name, "-c", "pass")}
        lines |= {f"{name} --help": (name, "--help") for name in _commands()}
        lines[f"occopus-maintain -l ({INFRASTRUCTURES} infrastructures)"] = ("occopus-maintain", "-l")
        lines["occopus-build --plan (new)"] = ("occopus-build", "--plan", DESCRIPTION)
        lines["occopus-build --plan (existing)"] = ("occopus-build", "--plan", DESCRIPTION, "-i", "benchmark-0")
        medians = _medians(here, lines, runs)
    unit = medians[IDLE]
    return [Started(line, seconds, seconds / unit) for line, seconds in medians.items()]


def _populate(here: build.Workspace, endpoint: str) -> None:
    shape = shapes.independent(1, 0.0)
    here.run("occopus-import", here.write("nodes.yaml", shape.definitions(endpoint)))
    description = here.write(DESCRIPTION, shape.infrastructure())
    for number in range(INFRASTRUCTURES):
        here.run("occopus-build", description, "-i", f"benchmark-{number}")


def _medians(here: build.Workspace, lines: Mapping[str, tuple[str, ...]], runs: int) -> dict[str, float]:
    """Medians of runs in turns, so that other work on the machine affects all commands alike."""
    rounds = [{line: here.run(*words).cpu for line, words in lines.items()} for _ in range(runs)]
    return {line: statistics.median(each[line] for each in rounds) for line in lines}


def _commands() -> list[str]:
    scripts = importlib.metadata.distribution("occopus-core").entry_points.select(group="console_scripts")
    return sorted(script.name for script in scripts if script.name not in SERVICES)
