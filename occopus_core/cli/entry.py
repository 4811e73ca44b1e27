"""Entry points of the console scripts. Imports very little, so that help and completion are fast."""

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


def logs() -> NoReturn:
    """``occopus-logs``."""
    _run("logs")


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
    gc.disable()  # imports create only lasting objects: collecting garbage would take a fifth of the start
    # Until a command has started work, a signal may end the process immediately.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _quit)
    _replace_closed_streams()
    _write_any_text()
    try:
        code = import_module(f"occopus_core.cli.{command}").main(sys.argv[1:])
    finally:
        _flush()
    os._exit(code)  # only memory and abandoned calls are left: both end with the process


def _replace_closed_streams() -> None:
    """Replace closed standard streams: otherwise an opened file would get their descriptor, and messages with it."""
    if sys.__stdout__ is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # pathlib takes long to import
    if sys.__stderr__ is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _write_any_text() -> None:
    """Write characters that an encoding lacks as escapes: texts of plugins and of files may have any."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper until it is replaced


def _flush() -> None:
    """Write buffered output such as a help text; the reader may have closed it."""
    try:
        sys.stdout.flush()
    except OSError:
        import_module("occopus_core.cli.output").discard(sys.stdout)


def _quit(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
