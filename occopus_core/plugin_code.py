"""Runs code of plugins that may raise anything, in a process that its user may interrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def plugin_code(error_of: Callable[[BaseException], BaseException]) -> Iterator[None]:
    """Raise what `error_of` returns for whatever is raised within, also for a `KeyboardInterrupt` of the plugin's own.

    One that follows from a signal is the user's, and passes; so does what `error_of` returns unchanged.
    """
    with _noted_interrupts() as interrupts:
        try:
            yield
        except BaseException as error:
            if interrupts and isinstance(error, KeyboardInterrupt):
                raise
            made = error_of(error)
            if made is error:
                raise
            raise made from error


@contextlib.contextmanager
def _noted_interrupts() -> Iterator[list[int]]:
    """The SIGINTs that arrive within. Only the main thread gets them."""
    noted: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    former = signal.getsignal(signal.SIGINT) if in_main else None
    if not callable(former):
        yield noted
        return
    handle: Callable[[int, FrameType | None], object] = former

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        handle(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, former)
