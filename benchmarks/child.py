"""Child processes, timed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LONGEST = 1800.0
"""Seconds after which a child is killed."""

BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""pip compiles installed packages; a checkout is compiled by the first command that may write, and then starts as fast.
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources used by a child process and its own children."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system."""
    memory: float
    """The largest resident memory of any of its processes, in MiB."""


class ChildError(Exception):
    """A command failed; the message has the end of its output."""


def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> Usage:
    """Run a command to its end. Raises `ChildError` if it cannot be started or does not succeed."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        code, used = _wait(start(command, folder, environment, said))
        wall = time.perf_counter() - started
        if code:
            raise ChildError(f"{Path(command[0]).name} ended with {code}:\n{_end_of(said.fileno())}")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def start(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], said: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command in its own process group, with its output in a file. Raises `ChildError`."""
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **BYTECODE, **environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    except OSError as error:
        raise ChildError(f"{command[0]}: {error.strerror}; is it installed?") from error


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, resource.struct_rusage]:
    """The exit code and resource usage. Kills the process and its children after `LONGEST`, or when interrupted."""
    deadline = threading.Timer(LONGEST, os.killpg, (process.pid, signal.SIGKILL))
    deadline.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        deadline.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used


def _end_of(file: int) -> str:
    size = os.fstat(file).st_size
    return os.pread(file, 2000, max(0, size - 2000)).decode(errors="replace")
