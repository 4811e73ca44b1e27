"""What messages show of an unexpected exception of a plugin: its type, file and line, and no value."""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from occopus_core.api.field_types import FieldTypeError
from occopus_core.printable import one_line

_CORE = "occopus_core"
_LONGEST_TEXT = 2000
"""The most characters of the text of an `ImportError` that are shown."""

UNEXPECTED = "occopus.plugins"
"""What the plugin contract does not allow is logged here at DEBUG level, with its traceback."""
_log = logging.getLogger(UNEXPECTED)

TO_ITS_AUTHOR = "report it to its author"
"""What a user can do about a mistake in the code of a plugin."""


def log_traceback(error: BaseException, redact: Callable[[str], str] = str) -> None:
    """Log an exception of a plugin with its traceback, at DEBUG level. `redact` takes secrets out of it."""
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("%s", redact("".join(traceback.format_exception(error)).rstrip("\n")))


def breach_text(who: str, how: str) -> str:
    """The message about a plugin that breaks its contract; `how` is such as ``create() raised KeyError``."""
    return f"{who} breaks its contract: {how}; {TO_ITS_AUTHOR}"


def described(error: BaseException, package: str = "") -> str:
    """The type and place of an exception: ``KeyError (mycloud/handler.py, line 80)``; `package` is as for `place`.

    The text may repeat a secret that the plugin was given, so only that of a `FieldTypeError` is shown.
    """
    text = f": {error}" if isinstance(error, FieldTypeError) else ""
    return f"{type(error).__name__}{text}{place(error, package)}"


def import_failure(error: BaseException, package: str) -> str:
    """Why a package cannot be imported: what is missing, what is wrong in which file, or the type and place."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.msg} ({_file_in(package, error.filename)}, line {error.lineno})"
    text = ""
    with contextlib.suppress(Exception):  # an exception of the plugin's own may raise another one
        text = one_line(str(error), str, _LONGEST_TEXT) if isinstance(error, ImportError) else ""
    return text or described(error, package)


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


def place_in_thread(ident: int | None, package: str) -> str:
    """The file and line of the top-level package that a thread has reached, as `place` has them; empty if not known."""
    frame = sys._current_frames().get(ident or 0)  # noqa: SLF001  # documented, and there is no other way
    while frame is not None and _package(frame) != package:
        frame = frame.f_back
    return "" if frame is None else f" ({_file(frame.f_code.co_filename, _module(frame))}, line {frame.f_lineno})"


def place_of(function: object) -> str:
    """The file and line where a function or class of a plugin begins, as `place` has them; empty if not known."""
    if isinstance(function, type):
        return _place_of_class(function)
    inner: Any = inspect.unwrap(function) if callable(function) else None
    code, module = getattr(inner, "__code__", None), str(getattr(inner, "__module__", ""))
    if code is None or module.partition(".")[0] in {"", _CORE}:
        return ""
    return f" ({_file(code.co_filename, module)}, line {code.co_firstlineno})"


def place_of_method(plugin: object, name: str) -> str:
    """`place_of` the method of this name of a plugin object; empty where reading it raises."""
    try:
        return place_of(getattr(plugin, name, None))
    except (Exception, SystemExit):  # noqa: BLE001  # a property of the plugin may raise anything
        return ""


def _place_of_class(plugin: type) -> str:
    try:
        file, line = inspect.getsourcefile(plugin), inspect.getsourcelines(plugin)[1]
    except (OSError, TypeError, SyntaxError):  # its source is not there, or cannot be read
        return ""
    return f" ({_file(file or '', plugin.__module__)}, line {line})"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _package(frame: FrameType) -> str:
    return _module(frame).partition(".")[0] or _CORE


def _file_in(package: str, name: str) -> str:
    """The file, from the package on; the whole path of one outside the package."""
    path = Path(name)
    if path.stem == package:
        return path.name
    inside = path.parts[::-1].index(package) + 1 if package in path.parts else 0
    return "/".join(path.parts[-inside:]) if inside else name


def _file(name: str, module: str) -> str:
    """The file, from its top-level package on."""
    path = Path(name)
    depth = len(module.split(".")) + (path.stem == "__init__")
    return "/".join(path.parts[-depth:])
