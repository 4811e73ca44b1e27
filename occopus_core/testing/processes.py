"""Processes that tests start."""

from __future__ import annotations

import signal
import subprocess
import threading
from typing import Any


def end(process: subprocess.Popen[Any], seconds: float, how: signal.Signals = signal.SIGTERM) -> None:
    """Signal a process and wait for its end; kill it after this many seconds. Idempotent."""
    process.send_signal(how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def wait_for_end() -> None:
    """Return when this process is asked to end, by SIGINT or SIGTERM. Call it in the main thread."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
