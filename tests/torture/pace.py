"""Time runs faster for the processes under torture, so that leases and windows of seconds last moments."""

from __future__ import annotations

import dataclasses
import time

from occopus_config_sim import SimManager
from occopus_core.engine.kernel.clock import SystemClock
from occopus_resource_sim import SimHandler

SPEED = 20.0
"""How many seconds of theirs pass in one of ours. A lease of 15 s lasts 0.75 s then."""

CALL_TIMEOUT = 0.5
"""Seconds of ours after which a call is given up."""

WINDOW = 30.0
"""The consistency window of the cloud, in seconds of theirs."""

LEAVE_SECONDS = 120.0
"""How long a manager may take to let a node go, in seconds of theirs: a busy machine needs moments of ours for it."""

HIDDEN = 0.3
"""For how long the cloud hides what it has made at the most, in seconds of ours: well within the window."""


EPOCH = time.time()
"""From here on time runs faster. All processes forked from one that has this see the same time."""

_wait = SystemClock.wait


def now() -> float:
    """Seconds since 1970 as they see it."""
    return EPOCH + (time.time() - EPOCH) * SPEED


def _monotonic(_self) -> float:
    return time.monotonic() * SPEED


def _wait_less(self, inbox, seconds):
    return _wait(self, inbox, None if seconds is None else seconds / SPEED)


def install() -> None:
    """Have the engine and the plugins `sim` live by it, in this process and in those forked from it."""
    # The class itself, so that it does not matter who has imported it from where.
    SystemClock.now, SystemClock.monotonic, SystemClock.wait = lambda _self: now(), _monotonic, _wait_less
    SimHandler.consistency_window = WINDOW
    SimHandler.poll_seconds = (1.0, 5.0)  # few looks: each is a boundary
    SimManager.poll_seconds = (1.0, 5.0)
    SimManager.leave_seconds = LEAVE_SECONDS
    SimHandler.__init__ = _patient(SimHandler.__init__)
    SimManager.__init__ = _patient(SimManager.__init__)


def _patient(made):
    def make(self, connection):
        made(self, dataclasses.replace(connection, call_timeout=CALL_TIMEOUT))

    return make
