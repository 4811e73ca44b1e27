"""The engine's clock. Tests inject one in which hours pass in milliseconds."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol


class Clock(Protocol):
    """The clock interface that the engine uses."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def wait(self, inbox: SimpleQueue[Callable[[], None]], seconds: float | None) -> Callable[[], None] | None:
        """Return the next item of the inbox, or None after `seconds` without one."""
        ...


LONGEST_WAIT = 1.0
"""Seconds that a thread waits at most at a time.

The kernel may deliver a signal to any thread of the process; Python runs its handler in the main thread, which notices
only when it is not blocked.
"""


class SystemClock:
    """The clock of this machine."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def wait(self, inbox: SimpleQueue[Callable[[], None]], seconds: float | None) -> Callable[[], None] | None:
        """See `Clock.wait`."""
        due = None if seconds is None else time.monotonic() + seconds
        while True:
            # In Python 3.11 `get` can wait for ever when its timeout passes before it has found the queue empty. A call
            # that does not block, made first, avoids this.
            with contextlib.suppress(queue.Empty):
                return inbox.get_nowait()
            left = LONGEST_WAIT if due is None else due - time.monotonic()
            if left <= 0:
                return None
            with contextlib.suppress(queue.Empty):
                return inbox.get(timeout=min(left, LONGEST_WAIT))
