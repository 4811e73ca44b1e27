"""Where the console scripts begin. Imports next to nothing, so that help and completion answer at once."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn


def build() -> NoReturn:
    """``occopus-build``."""
    _run("build")


def destroy() -> NoReturn:
    """``occopus-destroy``."""
    _run("destroy")


def import_() -> NoReturn:
    """``occopus-import``."""
    _run("import_")


def maintain() -> NoReturn:
    """``occopus-maintain``."""
    _run("maintain")


def _run(command: str) -> NoReturn:
    # Until a command has begun something, to be interrupted is to be gone.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _quit)
    sys.exit(import_module(f"occopus_core.cli.{command}").main(sys.argv[1:]))


def _quit(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
