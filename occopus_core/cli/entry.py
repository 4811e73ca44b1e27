"""Where the console scripts begin. Imports next to nothing, so that help and completion answer at once."""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
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


def plugins() -> NoReturn:
    """``occopus-plugins``."""
    _run("plugins")


def scale() -> NoReturn:
    """``occopus-scale``."""
    _run("scale")


def rest_service() -> NoReturn:
    """``occopus-rest-service``."""
    _run("rest_service")


def ssh() -> NoReturn:
    """``occopus-ssh``."""
    _run("ssh")


def _run(command: str) -> NoReturn:
    gc.disable()  # imports make nothing but what stays: looking for garbage meanwhile costs a fifth of the start
    # Until a command has begun something, to be interrupted is to be gone.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _quit)
    _replace_closed_streams()
    try:
        code = import_module(f"occopus_core.cli.{command}").main(sys.argv[1:])
    finally:
        _flush()
    os._exit(code)  # what is left is memory and calls that nobody waits for: both go with the process


def _replace_closed_streams() -> None:
    """Otherwise a file that is opened would take their numbers, and messages would go where results go."""
    if sys.__stdout__ is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # pathlib takes long to import
    if sys.__stderr__ is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _flush() -> None:
    """Write what is left of a help text or the like; nobody may be listening any more."""
    try:
        sys.stdout.flush()
    except OSError:
        import_module("occopus_core.cli.output").discard(sys.stdout)


def _quit(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
