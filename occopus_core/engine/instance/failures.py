"""Failed and lost instances: their last output is read before they are deleted, and becomes part of the reason."""

from __future__ import annotations

from collections.abc import Callable

from occopus_core.engine.instance.output import LastOutput, split_output, with_output
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Work
from occopus_core.events import EventKind
from occopus_core.store.records import InstanceRecord


class Failures:
    """The failures of one infrastructure."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._output = LastOutput(runtime)
        self._failed_starts: list[InstanceRecord] = []
        self.problems: list[str] = []
        """The nodes of failed instances, each with the reason; the same reason of several instances once."""

    def halt(self) -> None:
        """Answer nothing more."""
        self._output.halt()

    def take_failed_starts(self) -> list[InstanceRecord]:
        """The instances that could not be made ready since the last call."""
        failed, self._failed_starts = self._failed_starts, []
        return failed

    def failed(self, work: Work, reason: str, then: Callable[[], None]) -> None:
        """Report an instance that could not be made ready; `then` is called when it may be deleted.

        Where the reason has the output of the job that failed, that of the instance is not read.
        """
        reason, printed = split_output(reason)
        if work.remark and work.remark not in reason:
            reason = f"{reason}; {work.remark}"

        def answered(output: str) -> None:
            text = with_output(reason, output)
            self._runtime.emit(EventKind.NODE_FAILED, work, text)
            problem = f"node '{work.node_name}' ({work.implementation.label}): {text}"
            if problem not in self.problems:
                self.problems.append(problem)
            self._failed_starts.append(work.record)
            then()

        if printed:
            answered(printed)
        else:
            self._output.read(work, answered)

    def lost(self, work: Work, report: Callable[[str], None], then: Callable[[], None]) -> None:
        """Have `report` called with the last output of an instance that is to be replaced, and `then` afterwards."""

        def answered(output: str) -> None:
            report(output)
            then()

        self._output.read(work, answered)
