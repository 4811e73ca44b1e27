"""Where in a plugin an unexpected exception was raised, for messages: a file and a line, never a value."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import FrameType

_CORE = "occopus_core"


def described(error: BaseException, package: str = "") -> str:
    """The type, text and place of an exception: ``KeyError: 'nope' (mycloud/handler.py, line 80)``; see `place`."""
    text = str(error)
    return f"{type(error).__name__}{f': {text}' if text else ''}{place(error, package)}"


def place(error: BaseException, package: str = "") -> str:
    """The file and line of the innermost frame in the plugin, in parentheses after a space; empty if there is none.

    `package` is the plugin's top-level package. Left out, it is the first one that the core has called.
    """
    frames = [(frame, line, _package(frame)) for frame, line in traceback.walk_tb(error.__traceback__)]
    called = [name for _, _, name in frames if name != _CORE and name not in sys.stdlib_module_names]
    wanted = package or next(iter(called), _CORE)
    inside = [(frame, line) for frame, line, name in frames if name == wanted and name != _CORE]
    if not inside:
        return ""
    frame, line = inside[-1]
    return f" ({_file(frame)}, line {line})"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _package(frame: FrameType) -> str:
    return _module(frame).partition(".")[0] or _CORE


def _file(frame: FrameType) -> str:
    """The file, from its top-level package on."""
    path = Path(frame.f_code.co_filename)
    depth = len(_module(frame).split(".")) + (path.stem == "__init__")
    return "/".join(path.parts[-depth:])
