"""Has configuration managers take instances out of service: their jobs are cancelled, then `leave` is called.

An instance leaves before it is deleted, and before it loses its manager or gets another one. No manager is waited for
longer than its `leave_seconds`. A process that takes over begins again, with the rest of that time for a deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from occopus_core.api.errors import TransientError
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.lifecycle import Lifecycle, phase_of
from occopus_core.engine.instance.neighbours import recorded_node
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.intervals import poll_interval
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.store.records import Stage


@dataclass(slots=True, eq=False)
class _Leave:
    """One instance that leaves, and what follows."""

    work: Work
    then: Callable[[], None]
    limit: float = 0.0
    """Seconds that its manager may take."""
    overdue: str = ""
    """The message for one that takes longer."""


class Leaving:
    """The instances that are leaving their managers. After a halt of the jobs nothing more is called."""

    def __init__(self, runtime: Runtime, lifecycle: Lifecycle, configuring: Configuring) -> None:
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._configuring = configuring
        self._present: dict[Work, _Leave] = {}

    def begin(self, work: Work, then: Callable[[], None]) -> None:
        """Have the manager in the row of an instance let it go, then call `then`, once.

        For an instance that is leaving already, this `then` replaces the one before.
        """
        leave = self._present[work] = _Leave(work, then)
        self._configuring.end_job(work, lambda: self._start(leave))

    def expire(self, work: Work) -> None:
        """The time limit has passed, possibly during a call."""
        leave = self._present.get(work)
        if leave is not None:
            self._end(leave, leave.overdue)

    def _start(self, leave: _Leave) -> None:
        if self._is_over(leave):
            return
        work, record = leave.work, leave.work.configuration
        if record is None or not record.has_to_leave:
            self._end(leave)
            return
        try:
            link = self._runtime.scope.connections.config(record.section)
        except Exception:  # noqa: BLE001  # the plugin, or its credentials, are gone: that keeps nothing waiting
            self._end(leave)
            return
        limit = leave.limit = float(link.plugin.leave_seconds)
        leave.overdue = f"{link.label} did not let it go within {limit:g} s"
        # Of an instance that is to be deleted, part of the time may have passed in an earlier process.
        left = work.record.since + limit - self._runtime.clock.now() if work.stage is Stage.DROPPING else limit
        if left <= 0:
            self._end(leave, leave.overdue)
            return
        if work.stage is Stage.READY:
            self._lifecycle.enter(work, Phase.PARTING)
        self._lifecycle.arm(work, min(left, limit))  # the system time may have been set back
        self._ask(leave, link)

    def _ask(self, leave: _Leave, link: ManagerConnection) -> None:
        node = recorded_node(leave.work, self._runtime.scope.installation)

        def call() -> bool:
            self._runtime.journal.refuse_if_lost()
            return link.leave(node)

        if not self._is_over(leave):
            link.limits.submit(call, lambda outcome: self._answered(leave, link, outcome), "leave")

    def _answered(self, leave: _Leave, link: ManagerConnection, outcome: Outcome[bool]) -> None:
        if self._is_over(leave):
            return
        is_superseded = phase_of(leave.work) is Phase.PARTING and leave.work.dropping  # it leaves before its deletion
        if outcome.value or is_superseded:
            self._end(leave)
        elif outcome.error is None or isinstance(outcome.error, TransientError):
            self._runtime.waiting(leave.work, str(outcome.error or f"{link.label} is taking it out of service"))
            waited = leave.limit - self._lifecycle.left(leave.work)
            pause = poll_interval(waited, link.plugin.poll_seconds)
            self._runtime.loop.after(pause, lambda: self._ask(leave, link))
        else:
            self._end(leave, reason(outcome.error))

    def _is_over(self, leave: _Leave) -> bool:
        return self._present.get(leave.work) is not leave or self._configuring.halted

    def _end(self, leave: _Leave, why: str = "") -> None:
        if self._is_over(leave):
            return
        if why:
            self._runtime.waiting(leave.work, why)
        del self._present[leave.work]
        if phase_of(leave.work) is Phase.PARTING:
            self._lifecycle.enter(leave.work, Phase.READY)
        leave.then()
