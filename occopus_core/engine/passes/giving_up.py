"""Gives up instances of a cloud that is gone for good, on a user's order."""

from __future__ import annotations

from collections.abc import Collection

from occopus_core.engine.instance.execution import Execution
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.events import EventKind


def give_up(execution: Execution, runtime: Runtime, names: Collection[str]) -> None:
    """Remove the rows of all instances on the clouds with these names; each is an event with its id and token.

    The clouds stay recorded: if they come back, a sweep finds the instances. Raises `LeaseLostError`, `StoreError`.
    """
    for work in execution.works:
        name = work.implementation.label
        if name in names:
            what = work.record.instance_id or "an instance without a known id"
            text = f"{what} at {name}, token {work.record.token}: it was given up"
            runtime.emit(EventKind.NODE_GIVEN_UP, work, text)
            runtime.journal.remove(work.record, lambda work=work: execution.dropping.given_up(work))  # type: ignore[misc]
    runtime.journal.flush()
