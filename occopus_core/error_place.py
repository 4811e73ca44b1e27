"""Where in a plugin an unexpected exception was raised, or a method is, for messages: a file and a line, no value."""

from __future__ import annotations

import inspect
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

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
    return f" ({_file(frame.f_code.co_filename, _module(frame))}, line {line})"


def place_of(function: object) -> str:
    """The file and line where a function of a plugin begins, as `place` has them; empty where that is not known."""
    inner: Any = inspect.unwrap(function) if callable(function) else None
    code, module = getattr(inner, "__code__", None), str(getattr(inner, "__module__", ""))
    if code is None or module.partition(".")[0] in {"", _CORE}:
        return ""
    return f" ({_file(code.co_filename, module)}, line {code.co_firstlineno})"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _package(frame: FrameType) -> str:
    return _module(frame).partition(".")[0] or _CORE


def _file(name: str, module: str) -> str:
    """The file, from its top-level package on."""
    path = Path(name)
    depth = len(module.split(".")) + (path.stem == "__init__")
    return "/".join(path.parts[-depth:])
