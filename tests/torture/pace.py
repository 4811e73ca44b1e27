"""Time runs faster for the processes under torture, so that leases and windows of seconds last moments."""

from __future__ import annotations

import dataclasses
import time

from occopus_core import manager
from occopus_core.engine.clock import SystemClock
from occopus_resource_sim import SimHandler

SPEED = 20.0
"""How many seconds of theirs pass in one of ours. A lease of 15 s lasts 0.75 s then."""

CALL_TIMEOUT = 0.5
"""Seconds of ours after which a call is given up."""

WINDOW = 16.0
"""The consistency window of the cloud, in seconds of theirs."""

HIDDEN = 0.3
"""For how long the cloud hides what it has made at the most, in seconds of ours: well within the window."""


class FastClock:
    """An `occopus_core.engine.clock.Clock`. All processes forked from one that made it see the same time."""

    epoch = time.time()

    def now(self) -> float:
        """Seconds since 1970."""
        return self.epoch + (time.time() - self.epoch) * SPEED

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() * SPEED

    def wait(self, inbox, seconds):
        """The next item, or None after so many seconds."""
        return SystemClock().wait(inbox, None if seconds is None else seconds / SPEED)


def install() -> None:
    """Have the manager and the handler `sim` live by it, in this process and in those forked from it."""
    manager.SystemClock = FastClock
    SimHandler.consistency_window = WINDOW
    SimHandler.poll_seconds = (1.0, 5.0)  # few looks: each is a boundary
    made = SimHandler.__init__

    def make(self, connection):
        made(self, dataclasses.replace(connection, call_timeout=CALL_TIMEOUT))

    SimHandler.__init__ = make
