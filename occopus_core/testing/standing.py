"""Servers that harnesses share until the process ends, and checks for requirements of a harness."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
from typing import TypeVar

T = TypeVar("T")

_STANDING = contextlib.ExitStack()


class Unavailable(Exception):  # noqa: N818 - it is no error of the plugin
    """The harness needs a program, a package or a permission that is missing here.

    The message names it, in one line.
    """


def until_exit(context: contextlib.AbstractContextManager[T]) -> T:
    """Enter a context that is left when the process ends, or by `end_all`; return its value."""
    return _STANDING.enter_context(context)


def end_all() -> None:
    """Leave every context of `until_exit`, the latest first. Idempotent."""
    _STANDING.close()


def require_modules(*names: str) -> None:
    """Raise `ModuleNotFoundError` for the first of these top-level modules that is not installed. Imports none."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


atexit.register(end_all)
