"""``python -m tests.torture.lane``: a process that makes runs, one after another, each with processes of its own.

It has one thread, has imported everything, and is what those processes are forked from. A line on its standard input is
a run, a line on its standard output what became of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from occopus_core.cli import import_

from . import pace
from .acts import COMMANDS, Run
from .course import Course
from .world import World

FAST = Path("/dev/shm")
"""A file system without a disk: what a killed process has written is safe there as well."""


class Lane:
    """A world, and the runs in it."""

    def __init__(self, folder: Path) -> None:
        os.environ.update(HOME=str(folder), OCCOPUS_STORE=f"sqlite:///{folder}/store.db")
        pace.install()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        self.world = World(folder)
        self._import_all()
        gc.freeze()

    def run(self, run: Run, patience: float) -> dict:
        """Make a run; what became of it."""
        began = time.monotonic()
        result = Course(self.world, run, patience).go()
        return {**dataclasses.asdict(result), "run": None, "seconds": time.monotonic() - began}

    def _import_all(self) -> None:
        """Import whatever the commands import, so that they need not."""
        names = self.world.folder / "modules"
        pid = os.fork()
        if not pid:
            os.chdir(self.world.folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.dup2(2, 1)
            import_.main(["nodes.yaml"])
            self.world.keep_store()
            for word in ("old", "sick", "lacking", "more", "maintain", "destroy", "sweep"):
                command, *words = COMMANDS[word]
                importlib.import_module(f"occopus_core.cli.{command}").main(words)
            names.write_text("\n".join(sys.modules))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0, "the commands do not work even without torture"
        for name in names.read_text().split():
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def main() -> None:
    """Runs from standard input, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else is to get in between
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="occopus-torture-", dir=FAST if FAST.is_dir() else None))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        lane = Lane(folder)
        stack.callback(lane.world.close)
        for line in sys.stdin:
            order = json.loads(line)
            run = Run.parse(order["acts"], **order["options"])
            answers.write(json.dumps(lane.run(run, order["patience"])) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
