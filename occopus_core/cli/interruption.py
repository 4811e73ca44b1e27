"""Signals during a command: the first one interrupts the work, which is undone; the second one stops at once."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.output import with_options

PATIENCE = 2
"""The number of signals after which the next one ends the process; work in progress is recorded."""
REPEAT_SECONDS = 1.0
"""Seconds after a signal within which others are repeats of it: `timeout` signals a command and then its group."""


def signals() -> tuple[signal.Signals, ...]:
    """The signals that end a command. SIGHUP is left out under `nohup`."""
    ending = (signal.SIGINT, signal.SIGTERM)
    return ending if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*ending, signal.SIGHUP)


class Interruption:
    """The first signal received, if any."""

    number: int | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of a command that was interrupted and has undone its work."""
        return 128 + self.number if self.number is not None else ExitCode.INTERRUPTED


@contextlib.contextmanager
def interruptible(
    interrupt: Callable[[str], None], notice: str, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[Interruption]:
    """Call `interrupt` with a reason at each signal; print `notice` at the first. Signals are ignored afterwards.

    A signal and its repeats within `REPEAT_SECONDS` are one. `monotonic` returns the time in seconds.
    """
    interruption = Interruption()
    count, counted_at = 0, -math.inf

    def receive(number: int, _frame: FrameType | None) -> None:
        nonlocal count, counted_at
        now = monotonic()
        if now - counted_at < REPEAT_SECONDS:
            return
        counted_at = now
        first = interruption.number is None
        if first:
            interruption.number = number
        count += 1
        if count > PATIENCE:  # the work in progress does not react
            os._exit(128 + number)
        interrupt(f"interrupted by {signal.Signals(number).name}")
        _say_at_once(notice if first else "stopping at once")

    handled = signals()
    for number in handled:
        signal.signal(number, receive)
    try:
        yield interruption
    finally:
        # The command is complete: ending here would only hide its result.
        for number in handled:
            signal.signal(number, signal.SIG_IGN)


def _say_at_once(text: str) -> None:
    """Write to the descriptor directly: the signal may have interrupted a print, which is not reentrant."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{with_options(text)}\n".encode())
