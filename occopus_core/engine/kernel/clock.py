"""Time, injected: tests let hours pass in milliseconds."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol


class Clock(Protocol):
    """What the engine asks of time."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def wait(self, inbox: SimpleQueue[Callable[[], None]], seconds: float | None) -> Callable[[], None] | None:
        """The next item of the inbox, or None after so many seconds without one."""
        ...


class SystemClock:
    """The time of this machine."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def wait(self, inbox: SimpleQueue[Callable[[], None]], seconds: float | None) -> Callable[[], None] | None:
        """See `Clock.wait`."""
        # In Python 3.11 a `get` whose time is up before it has found out that nothing is there waits for ever. Not so
        # right after one that did not wait.
        with contextlib.suppress(queue.Empty):
            return inbox.get_nowait()
        with contextlib.suppress(queue.Empty):
            return inbox.get(timeout=seconds)
        return None
