"""When maintenance has last looked at each infrastructure, for the store: reports say as of when their states are."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping

from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import Passed
from occopus_core.store.records import StoreError
from occopus_core.store.repository import Store

RECORD_SECONDS = 60.0
"""How often, in seconds, the time of the last look at each infrastructure is recorded."""


class Looks:
    """The last looks of one maintenance loop. A look that a provider does not answer does not count."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[str, float] = {}
        self._recorded: dict[str, float] = {}
        self._unanswered: set[str] = set()
        """The infrastructures whose last pass has failed, or has had no answer from a provider."""

    def ended(self, context: PassContext, outcome: Outcome[Passed]) -> None:
        """A pass has ended."""
        if outcome.value is None or outcome.value.unconfirmed:
            self._unanswered.add(context.infra_id)
        else:
            self._unanswered.discard(context.infra_id)
            self._note(context)

    def record(self, attached: Mapping[str, PassContext], under_way: Mapping[str, PassContext], seconds: float) -> None:
        """Record looks that are this much later than the recorded ones, and those at what is not attached any more."""
        for context in under_way.values():  # a pass observes until its work is done
            if context.infra_id not in self._unanswered:
                self._note(context)
        left = self._last.keys() - attached.keys()
        due = {
            infra_id: at
            for infra_id, at in self._last.items()
            if infra_id in left or at - self._recorded.get(infra_id, -math.inf) >= seconds
        }
        if due:
            with contextlib.suppress(StoreError):  # a pass reports it
                self._store.looks.put(due)
                self._recorded |= due
        for infra_id in left - under_way.keys():
            del self._last[infra_id]
            self._recorded.pop(infra_id, None)
            self._unanswered.discard(infra_id)

    def is_any_left(self, attached: Mapping[str, PassContext]) -> bool:
        """True if the last look at an infrastructure that is not attached any more is to be recorded."""
        return not self._last.keys() <= attached.keys()

    def _note(self, context: PassContext) -> None:
        if context.looked_at is not None:
            self._last[context.infra_id] = context.looked_at
