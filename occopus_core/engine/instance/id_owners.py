"""Finds the instance that an id belongs to already: another one is neither made nor deleted by that id."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from occopus_core.api.resource import InstanceId
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.guard import BreachError, wrong_answer


class IdOwners:
    """The instances of an infrastructure by their ids. `works` returns all that have a row."""

    def __init__(self, works: Callable[[], Iterable[Work]]) -> None:
        self._works = works

    def breach(self, work: Work, what: str, id: InstanceId) -> BreachError | None:
        """The error for `what`, a method of its handler, that answers the id of another instance for `work`.

        Two instances that are both to be deleted may have the same id.
        """
        for other in self._works():
            has_id = other.record.instance_id == id and other.link is work.link
            if has_id and other is not work and not (other.dropping and work.dropping):
                return wrong_answer(
                    work.handler, what, f"answered the id '{id}', which an instance of '{other.node_name}' has"
                )
        return None
