"""Runs the conformance suite of a plugin in a process of its own, and says where it hangs or is cut short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import BinaryIO

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.output import say

_PROGRAM = ("-P", "-m", "occopus_core.testing.check")
"""-P: a module in the working directory must not replace an installed one."""
_FIRST_NOTICE = 60.0
"""Seconds until the first message about a step that has not ended; each next one comes after twice the time."""
_LOOK = 1.0
"""Seconds between two looks at what the process does."""


def run_suite(kind: str, name: str, clauses: Sequence[str]) -> int:
    """Run the suite. Returns its exit code, and `FAILED` if the process ended before the suite did."""
    words = [word for clause in clauses for word in ("--clause", clause)]
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as steps:
        try:
            command = [sys.executable, *_PROGRAM, kind, name, *words, "--steps", str(writing)]
            process = subprocess.Popen(command, pass_fds=[writing])
        finally:
            os.close(writing)
        with process:
            try:
                code, step = _followed(process, steps, f"{kind}/{name}")
            except BaseException:
                process.kill()
                raise
    if not step:
        return code
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    say(f"error: {kind}/{name} cannot be checked: the process of the suite {how} {step}")
    return ExitCode.FAILED


def _followed(process: subprocess.Popen[bytes], steps: BinaryIO, title: str) -> tuple[int, str]:
    """Wait for the process. Its exit code, and the step in which it ended; empty where the suite came to its end."""
    step, began, notice = "before the suite began", time.monotonic(), _FIRST_NOTICE
    while True:
        try:
            code: int | None = process.wait(_LOOK)
        except subprocess.TimeoutExpired:
            code = None
        if lines := (steps.read() or b"").splitlines():
            step, began, notice = lines[-1].decode(errors="replace"), time.monotonic(), _FIRST_NOTICE
        if code is not None:
            return code, step
        if time.monotonic() - began >= notice:
            say(f"{title}: busy for {notice:.0f} s {step}")
            notice *= 2
