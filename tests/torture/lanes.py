"""Several lanes side by side: runs go in, what became of them comes out."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from .acts import COMMANDS, Run

PATIENCE = 600.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run; see `course.Result`."""

    run: Run
    failure: str
    journal: str
    kills: list[str] = field(default_factory=list)
    reached: list[list[str]] = field(default_factory=list)
    lasted: list[float] = field(default_factory=list)
    pauses: int = 0
    crashes: int = 0
    missed: int = 0
    seconds: float = 0.0

    @property
    def at_last(self) -> list[str]:
        """The boundaries of the last command of the run itself; what follows brings it to its end."""
        return self.reached[sum(act.word in COMMANDS for act in self.run.acts) - 1]


class Lanes:
    """So many lane processes, from ``with`` on."""

    def __init__(self, count: int, patience: float = PATIENCE) -> None:
        self._count = count
        self._patience = patience
        self._idle: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._idle = [self._started() for _ in range(self._count)]
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for lane in self._idle:
            lane.stdin.close()
        for lane in self._idle:
            lane.wait(PATIENCE)
            lane.stdout.close()

    def map(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        """Make all these runs, which may be endless; the outcomes in the order in which they come."""
        source = iter(runs)
        with concurrent.futures.ThreadPoolExecutor(self._count) as pool:
            pending = {pool.submit(self._make, run) for _, run in zip(range(self._count), source, strict=False)}
            while pending:
                done, pending = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
                for each in done:
                    pending.update(pool.submit(self._make, run) for _, run in zip(range(1), source, strict=False))
                    yield each.result()

    def _make(self, run: Run) -> Outcome:
        with self._lock:
            lane = self._idle.pop()
        options = {"weather": run.weather, "seed": run.seed, "parallel": run.parallel, "managed": run.managed,
                   "mutant": run.mutant}  # fmt: skip
        order = {"acts": run.text, "options": options, "patience": self._patience}
        lane.stdin.write(json.dumps(order) + "\n")
        lane.stdin.flush()
        answer = lane.stdout.readline()
        if not answer:
            lane.kill()
            lane.wait()
            lane.stdin.close()
            lane.stdout.close()
            lane = self._started()
        with self._lock:
            self._idle.append(lane)
        if not answer:
            return Outcome(run, "the harness itself failed: see standard error", "")
        return Outcome(**{**json.loads(answer), "run": run})

    @staticmethod
    def _started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.torture.lane"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
