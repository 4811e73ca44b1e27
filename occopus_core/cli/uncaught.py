"""Exceptions that no caller gets, and warnings of Python: one line on stderr for each, without a secret."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings

from occopus_core.cli.output import redacted, say

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


@contextlib.contextmanager
def without_secrets() -> Iterator[None]:
    """While the block runs, report exceptions of threads and finalizers by type and place, and redact warnings.

    Python would print the text of the exception, in which a plugin may repeat a secret.
    """
    former = threading.excepthook, sys.unraisablehook, warnings.showwarning
    threading.excepthook, sys.unraisablehook, warnings.showwarning = _of_thread, _of_finalizer, _warning
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook, warnings.showwarning = former


def _of_thread(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_value is not None and not isinstance(raised.exc_value, SystemExit):
        _say_raised("a thread", raised.exc_value)


def _of_finalizer(raised: sys.UnraisableHookArgs) -> None:
    if raised.exc_value is not None:
        _say_raised("a finalizer or callback", raised.exc_value)


def _say_raised(who: str, error: BaseException) -> None:
    from occopus_core.engine.kernel.error_text import log_unexpected  # noqa: PLC0415  # only when something went wrong
    from occopus_core.error_place import described  # noqa: PLC0415

    log_unexpected(error, redacted)
    say(f"warning: {who} raised {described(error)}")


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001  # of `warnings.showwarning`
    line: str | None = None,  # noqa: ARG001
) -> None:
    from occopus_core.printable import one_line  # noqa: PLC0415  # only when there is one
    from occopus_core.sound_errors import LONGEST_TEXT  # noqa: PLC0415

    text = one_line(str(message), redacted, LONGEST_TEXT)
    say(f"warning: {text} ({category.__name__}, {filename}, line {lineno})")
