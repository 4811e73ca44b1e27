"""Questions that were left without an answer: when they are asked again, while calls for them may hang for ever."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from occopus_core.engine.instance.lifecycle import GRACE
from occopus_core.engine.kernel.clock import Clock

PATIENCE = 30.0
"""Seconds in which a plugin has to answer."""

FRESH_SECONDS = 2 * PATIENCE
"""Seconds after its question for which an answer may be used."""

LOST_SECONDS = PATIENCE + GRACE
"""Seconds after which a call counts as lost, and the question is asked again."""

SLOWDOWN = 4.0
"""By this factor longer is waited for each further call that hangs: few of them hang at once, however long it lasts."""


def are_lost(asked_at: Sequence[float], now: float) -> bool:
    """True if the latest of these calls, none of which has returned, counts as lost. Times are monotonic."""
    return now - max(asked_at) > LOST_SECONDS * SLOWDOWN ** (len(asked_at) - 1)


class Question(Protocol):
    """A question to a plugin."""

    asked_at: float
    """The time (monotonic)."""

    @property
    def is_answered(self) -> bool:
        """True if there is an answer or an error."""

    @property
    def has_failed(self) -> bool:
        """True if the answer is an error."""


Key = TypeVar("Key", bound=Hashable)
Q = TypeVar("Q", bound=Question)


class LeftQuestions(Generic[Key, Q]):
    """Keeps by key the questions that were left without an answer, until one of them has an answer that was used."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: dict[Key, Sequence[Q]] = {}
        """Oldest first."""

    def latest(self, key: Key) -> Q | None:
        """The question that was asked last."""
        left = self._left.get(key)
        return left[-1] if left else None

    def usable(self, key: Key) -> Q | None:
        """The latest question; None if it has to be asked again.

        So it is if its answer is old, if its call counts as lost, or if the call of one before it has returned since.
        """
        question = self.latest(key)
        return question if question is not None and self._is_of_use(key, question) else None

    def silent_since(self, key: Key) -> float:
        """When the oldest question without an answer was asked (monotonic); now, without one."""
        return min((question.asked_at for question in self._hanging(key)), default=self._clock.monotonic())

    def settle(self, questions: Mapping[Key, Q]) -> None:
        """Keep those without an answer; one with an answer that is no error ends the wait for those before it."""
        for key, question in questions.items():
            others = [each for each in self._hanging(key) if each is not question]
            if not question.is_answered:
                self._left[key] = [*others, question]
            else:
                self._left[key] = others if question.has_failed else []
        self._left = {key: left for key, left in self._left.items() if self._is_to_keep(left)}

    def _hanging(self, key: Key) -> Sequence[Q]:
        latest = self.latest(key)
        if latest is None or (latest.is_answered and not latest.has_failed):
            return []
        return [question for question in self._left[key] if not question.is_answered]

    def _is_of_use(self, key: Key, question: Q) -> bool:
        if question.is_answered:
            return self._is_fresh(question)
        hanging, now = self._hanging(key), self._clock.monotonic()
        return len(hanging) == len(self._left[key]) and not are_lost([one.asked_at for one in hanging], now)

    def _is_to_keep(self, left: Sequence[Q]) -> bool:
        return any(not question.is_answered or self._is_fresh(question) for question in left)

    def _is_fresh(self, question: Q) -> bool:
        return self._age(question) <= FRESH_SECONDS

    def _age(self, question: Q) -> float:
        return self._clock.monotonic() - question.asked_at
