"""Progress of a command: a live view on a terminal, lines elsewhere, or log records if configured."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from occopus_core.cli.lines import ShortLines, line
from occopus_core.cli.output import say
from occopus_core.events import Observer


@contextlib.contextmanager
def shown(*, lasting: bool = False, lines: bool = False) -> Iterator[Observer]:
    """An observer that writes its events to stderr, in a form suited to it.

    For `lasting` work, which never completes, it writes lines with times instead of a view; with `lines` it also writes
    lines instead of a view.
    """
    if lasting:
        yield lambda event: say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line(event)}")
        return
    if lines or not _in_foreground():
        short = ShortLines()
        yield lambda event: say(short.of(event))
        return
    from occopus_core.cli.live import live_view  # noqa: PLC0415  # takes a while to import

    with live_view() as observer:
        yield observer


def _in_foreground() -> bool:
    """True if stderr is a terminal and this process is in its foreground: a background process must not draw on it."""
    try:
        return sys.stderr.isatty() and os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except OSError:
        return False


@contextlib.contextmanager
def logged(secrets: Collection[str]) -> Iterator[Observer]:
    """An observer that logs its events, for configurations with a `logging` section.

    No handler shows secrets, or the debug messages of libraries, which contain whole URLs and requests.
    """
    import logging  # noqa: PLC0415  # only where it is wanted

    from occopus_core.redaction import RedactingFilter  # noqa: PLC0415

    hide = RedactingFilter(secrets)
    log = logging.getLogger("occopus")
    for handler in {*log.handlers, *logging.getLogger().handlers}:
        handler.addFilter(hide)
        handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith("occopus"))
    yield lambda event: log.info(line(event))
