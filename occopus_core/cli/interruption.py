"""Signals while something is under way: the first asks it to undo itself, a second one to stop at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.output import with_options

PATIENCE = 2
"""The signals after which the next one ends the process as it is; what was begun is recorded."""


def signals() -> tuple[signal.Signals, ...]:
    """Those that end a command. Who started it with `nohup` wants it to outlive its terminal."""
    ending = (signal.SIGINT, signal.SIGTERM)
    return ending if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*ending, signal.SIGHUP)


class Interruption:
    """The first signal that came, if any."""

    number: int | None = None

    @property
    def exit_code(self) -> int:
        """What a command ends with that was interrupted and has undone what it began."""
        return 128 + self.number if self.number is not None else ExitCode.INTERRUPTED


@contextlib.contextmanager
def interruptible(interrupt: Callable[[str], None], notice: str) -> Iterator[Interruption]:
    """Have signals call `interrupt` with a reason; `notice` is said at the first. Afterwards they are ignored."""
    interruption = Interruption()
    count = 0

    def receive(number: int, _frame: FrameType | None) -> None:
        first = interruption.number is None
        if first:
            interruption.number = number
        nonlocal count
        count += 1
        if count > PATIENCE:  # whatever it is busy with does not listen
            os._exit(128 + number)
        interrupt(f"interrupted by {signal.Signals(number).name}")
        _say_at_once(notice if first else "stopping at once")

    heeded = signals()
    for number in heeded:
        signal.signal(number, receive)
    try:
        yield interruption
    finally:
        # It is over: to end here would only hide how.
        for number in heeded:
            signal.signal(number, signal.SIG_IGN)


def _say_at_once(text: str) -> None:
    """Straight to the descriptor: what the signal has interrupted may be a print, which cannot be entered twice."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{with_options(text)}\n".encode())
