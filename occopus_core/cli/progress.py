"""What happens while it happens: a live view on a terminal, plain lines elsewhere, or log records if so configured."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from occopus_core.cli.lines import line, short_line
from occopus_core.cli.output import say
from occopus_core.events import Observer


@contextlib.contextmanager
def shown(*, lasting: bool = False) -> Iterator[Observer]:
    """An observer that writes to stderr what it is told, in the way that fits where stderr goes.

    What is `lasting` has no view that would ever be complete: it is told in lines, each with its time.
    """
    if lasting:
        yield lambda event: say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line(event)}")
        return
    if not _in_foreground():
        yield lambda event: say(short_line(event))
        return
    from occopus_core.cli.live import live_view  # noqa: PLC0415  # takes a while to import

    with live_view() as observer:
        yield observer


def _in_foreground() -> bool:
    """True where stderr is a terminal that is ours: one that works in the background must not draw on it."""
    try:
        return sys.stderr.isatty() and os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except OSError:
        return False


@contextlib.contextmanager
def logged(secrets: Collection[str]) -> Iterator[Observer]:
    """An observer that logs what it is told, for configurations with a `logging` section.

    No handler shows a secret, nor the chatter of libraries: they log whole URLs and requests.
    """
    import logging  # noqa: PLC0415  # only where it is wanted

    from occopus_core.credentials import RedactingFilter  # noqa: PLC0415

    hide = RedactingFilter(secrets)
    log = logging.getLogger("occopus")
    for handler in {*log.handlers, *logging.getLogger().handlers}:
        handler.addFilter(hide)
        handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith("occopus"))
    yield lambda event: log.info(line(event))
