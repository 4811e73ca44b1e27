"""A command as a process of its own: forked from one that has imported everything, so that it begins at once."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import random
import signal
import sys
import threading
import time
import traceback
import types
from dataclasses import dataclass, field
from pathlib import Path

from occopus_core import manager

from . import mutants
from .acts import COMMANDS, Act
from .boundaries import Boundaries

CRASHED = 99
"""The exit code of a command that ended with an error of its own."""

_DIE_WITH_PARENT = 1
_LIBC = ctypes.CDLL(None)


@dataclass(slots=True)
class Process:
    """One command under way. `trace` has the boundaries it reached, `log` what it said."""

    act: Act
    pid: int
    trace: Path
    log: Path
    code: int | None = None
    """How it ended, as a shell shows it; None while it lives."""
    paused: bool = False
    paused_epoch: int | None = None
    held_lease: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def boundaries(self) -> list[str]:
        """Those that it reached, in their order."""
        return self.trace.read_text().splitlines()

    @property
    def killed(self) -> bool:
        """Whether it was ended by SIGKILL."""
        return self.code == 128 + signal.SIGKILL

    def wait(self, seconds: float) -> bool:
        """Until it has ended or stands still; False where neither came in time."""
        deadline = time.monotonic() + seconds
        while not self._look():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            signal.sigtimedwait([signal.SIGCHLD], min(left, 0.5))
        return True

    def _look(self) -> bool:
        if self.code is not None:
            return True
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            self.paused = True
        elif pid:
            code = os.waitstatus_to_exitcode(status)
            self.code = code if code >= 0 else 128 - code
        return bool(pid)

    def kill(self) -> None:
        """End it now. Nothing happens where it has ended."""
        self.signal(signal.SIGKILL)
        while self.code is None:
            self.wait(1)

    def wake(self) -> None:
        """Let it go on."""
        self.paused = False
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Nothing happens where it has ended."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(act: Act, words: tuple[str, ...], folder: Path, number: int, mutant: str, seed: str) -> Process:
    """Begin a command in a folder. `seed` is that of all its choices, ids included."""
    trace, log = folder / f"{number}.trace", folder / f"{number}.log"
    trace.touch()
    log.touch()
    pid = os.fork()
    if not pid:
        _live(act, words, folder, trace, log, mutant, seed)
    return Process(act, pid, trace, log)


def _live(act: Act, words: tuple[str, ...], folder: Path, trace: Path, log: Path, mutant: str, seed: str) -> None:
    code = CRASHED
    try:
        _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.chdir(folder)
        for stream, flags, file in ((0, os.O_RDONLY, os.devnull), (1, os.O_WRONLY, log), (2, os.O_WRONLY, log)):
            os.dup2(os.open(file, flags | os.O_CREAT | os.O_APPEND, 0o600), stream)
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
        faulthandler.register(signal.SIGUSR1, file=2)
        manager.random = types.SimpleNamespace(Random=lambda: random.Random(seed))
        mutants.install(mutant)
        Boundaries(act, os.open(trace, os.O_WRONLY | os.O_APPEND)).install()
        package = "tests.torture" if words[0] == "ask" else "occopus_core.cli"
        code = importlib.import_module(f"{package}.{words[0]}").main(words[1:])
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        threading._shutdown()  # as at the end of any program, calls under way are waited for
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def command(act_word: str, parallel: bool) -> tuple[str, ...]:
    """The words of a command line."""
    words = COMMANDS[act_word]
    return (*words, "--parallelize") if parallel and words[0] in {"build", "maintain"} else words
