"""Takes running instances away from their configuration managers: their jobs are cancelled, then they leave.

The instances stay. No manager is waited for longer than it may take. A process that takes over begins again.
"""

from __future__ import annotations

from collections.abc import Callable

from occopus_core.api.errors import TransientError
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.neighbours import recorded_node
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.intervals import poll_interval
from occopus_core.engine.kernel.loop import Outcome

Then = Callable[[], None]


class Departure:
    """The instances that are leaving. `begin` calls back once; after a halt of the jobs it does not."""

    def __init__(self, runtime: Runtime, configuring: Configuring) -> None:
        self._runtime = runtime
        self._configuring = configuring
        self._then: dict[Work, Then] = {}

    def begin(self, work: Work, then: Then) -> None:
        """Have the manager in the row of an instance let it go, then call `then`."""
        self._then[work] = then
        self._configuring.end_job(work, lambda: self._leave(work))

    def _leave(self, work: Work) -> None:
        record = work.configuration
        if record is None or work.dropping or not record.has_to_leave:
            self._end(work)
            return
        try:
            link = self._runtime.scope.connections.config(record.section)
        except Exception:  # noqa: BLE001  # the plugin, or its credentials, are gone: that keeps nothing waiting
            self._end(work)
            return
        began, limit = self._runtime.clock.monotonic(), float(link.plugin.leave_seconds)
        self._runtime.loop.after(limit, lambda: self._end(work, f"{link.label} did not let it go within {limit:g} s"))
        self._ask(work, link, began)

    def _ask(self, work: Work, link: ManagerConnection, began: float) -> None:
        node = recorded_node(work, self._runtime.scope.installation)

        def leave() -> bool:
            self._runtime.journal.refuse_if_lost()
            return link.leave(node)

        def answered(outcome: Outcome[bool]) -> None:
            if self._is_over(work):
                return
            if outcome.value or work.dropping:
                self._end(work)
            elif outcome.error is None or isinstance(outcome.error, TransientError):
                self._runtime.waiting(work, str(outcome.error or f"{link.label} is taking it out of service"))
                pause = poll_interval(self._runtime.clock.monotonic() - began, link.plugin.poll_seconds)
                again = lambda: None if self._is_over(work) else self._ask(work, link, began)  # noqa: E731
                self._runtime.loop.after(pause, again)
            else:
                self._end(work, reason(outcome.error))

        if not self._is_over(work):
            link.limits.submit(leave, answered)

    def _is_over(self, work: Work) -> bool:
        return work not in self._then or self._configuring.halted

    def _end(self, work: Work, why: str = "") -> None:
        if self._is_over(work):
            return
        if why:
            self._runtime.waiting(work, why)
        self._then.pop(work)()
