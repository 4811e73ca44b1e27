"""Asks the providers for the state of instances: one call for each connection, across infrastructures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from occopus_core.api.errors import PermanentError, ProviderError, TransientError
from occopus_core.api.resource import Instance, InstanceId, Owner, ResourceHandler
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.guard import BreachError, mapping_of, sound_answer, wrong_answer
from occopus_core.engine.kernel.instances import WrongInstanceError, instance_of
from occopus_core.engine.kernel.intervals import FIRST_DELAY
from occopus_core.engine.kernel.loop import Loop, Outcome, Steps, Waiting
from occopus_core.engine.kernel.open_connection import OpenConnection

T = TypeVar("T")

TRIES = 5
"""How often a provider is asked before it counts as unreachable."""

PATIENCE = 30.0
"""Seconds for which the observation waits for the remaining providers after the first has answered."""

TICK_PATIENCE = 10.0
"""Seconds for which a tick waits for providers. Without an answer in `PATIENCE` seconds, they count as silent."""


Descriptions = Mapping[InstanceId, Outcome[Instance]]
"""By id: the instance as its provider describes it, or how its part of the answer breaks the contract."""


def describe(handler: ResourceHandler, ids: Sequence[InstanceId]) -> Descriptions:
    """The provider's answer for these instances. Raises `ProviderError`.

    Where a call for several breaks the contract, each half of them is asked for by itself, as often as it takes to
    find one that is the cause.
    """
    found: dict[InstanceId, Outcome[Instance]] = {}
    groups, calls_left = [ids], _calls_to_find_one(len(ids))
    while groups:
        group = groups.pop()
        calls_left -= 1
        try:
            answer = mapping_of(handler, "describe", handler.describe(group))
        except BreachError as error:
            if len(group) > 1 and calls_left > len(groups) + 1:
                half = len(group) // 2
                groups += [group[:half], group[half:]]
            else:
                found |= {id: Outcome(error=error) for id in group}
            continue
        found |= {id: _description(handler, id, answer) for id in group}
    return found


def _calls_to_find_one(count: int) -> int:
    """How many calls find one among so many, two for each time that they are halved."""
    return 1 + 2 * count.bit_length()


def _description(handler: ResourceHandler, id: InstanceId, found: Mapping[Any, Any]) -> Outcome[Instance]:
    if id not in found:
        return Outcome(error=wrong_answer(handler, "describe", f"left out '{id}'"))
    try:
        instance = instance_of(found[id], f"for '{id}'")
    except WrongInstanceError as wrong:
        return Outcome(error=wrong_answer(handler, "describe", str(wrong)))
    if instance.id != id:
        return Outcome(error=wrong_answer(handler, "describe", f"answered the instance '{instance.id}' for '{id}'"))
    return Outcome(value=instance)


def each_outcome(
    handler: ResourceHandler, what: str, ids: Sequence[InstanceId]
) -> Mapping[InstanceId, ProviderError | None]:
    """Call `delete` or `stop` for these instances. A wrong answer for an instance is the error of this instance.

    Raises `ProviderError`, also where the answer is no mapping.
    """
    answer = mapping_of(handler, what, getattr(handler, what)(ids))
    return {id: _outcome(handler, what, answer.get(id)) for id in ids}


def _outcome(handler: ResourceHandler, what: str, answer: object) -> ProviderError | None:
    if answer is None:
        return None
    if isinstance(answer, ProviderError):
        return sound_answer(handler, what, answer)
    return wrong_answer(
        handler, what, f"answered {type(answer).__name__} for an instance, expected None or a ProviderError"
    )


Owned = tuple[list[Instance], BreachError | None]
"""The instances of an owner at a provider, and what is wrong with the rest of its answer."""


def owned(handler: ResourceHandler, owner: Owner) -> Owned:
    """All instances with the owner's tags. Raises `ProviderError`."""
    found: list[Instance] = []
    fault: BreachError | None = None
    for answer in handler.list_owned(owner):
        try:
            found.append(instance_of(answer, "among its instances"))
        except WrongInstanceError as wrong:
            fault = fault or wrong_answer(handler, "list_owned", str(wrong))
    return found, fault


Described = Outcome[Descriptions]
"""A provider's answer, or its error."""


def of_one(described: Described, id: InstanceId) -> Outcome[Instance]:
    """The part of a provider's answer, or of its error, that concerns one instance."""
    return Outcome(error=described.error) if described.error is not None else described.get()[id]


@dataclass(slots=True, eq=False)
class _Question:
    ids: tuple[InstanceId, ...]
    asked_at: float
    """The time (monotonic)."""
    done: Callable[[Described], None]
    tries: int = 0
    is_left: bool = False
    """True once an observation has gone on without the answer."""
    last: Described | None = None
    """The error of the last try."""
    answer: Described | None = None

    def settle(self, answer: Described) -> None:
        self.answer = answer
        self.done(answer)


@dataclass(slots=True)
class Observatory:
    """Asks for many instances at once; requests made in the same turn of the loop share one call."""

    loop: Loop
    _batches: dict[OpenConnection[ResourceHandler], Batch[_Question, Descriptions]] = field(default_factory=dict)
    _left: dict[tuple[OpenConnection[ResourceHandler], tuple[InstanceId, ...]], _Question] = field(default_factory=dict)
    """The questions of observations that went on without the answer, which the next one takes."""

    def observe(
        self, works: Sequence[Work], commit_due: Callable[[], None], patience: float | None = None
    ) -> Steps[Mapping[str, Outcome[Instance]]]:
        """The present instances, by node id, without those that have no id or are too young to be visible.

        The outcome of an instance whose provider fails is the error. A silent provider delays the others by at most
        `PATIENCE` seconds, or `patience` seconds if given: then those whose provider may still answer in time are left
        out. What is not answered is not asked again, and not waited for again.
        """
        by_link: dict[OpenConnection[ResourceHandler], list[Work]] = {}
        seen: dict[str, Outcome[Instance]] = {}
        for work in works:
            if work.link is not None and work.record.instance_id is not None:
                by_link.setdefault(work.link, []).append(work)
            elif work.unreachable:
                seen[work.node_id] = Outcome(error=PermanentError(work.unreachable))
        began = self.loop.clock.monotonic()
        questions = {link: self._question(link, _ids(asked)) for link, asked in by_link.items()}
        waited_for = [one for one in questions.values() if patience is None or one.asked_at >= began]
        yield from self._answers(waited_for, commit_due, patience)
        for link, question in questions.items():
            waited, answer = self.loop.clock.monotonic() - question.asked_at, question.answer or question.last
            question.is_left = question.answer is None
            if answer is None:
                self._leave(link, question)
                if patience is not None and waited < PATIENCE:
                    continue
                silence = f"{by_link[link][0].implementation.label} has not answered for {PATIENCE:g} s"
                answer = Outcome(error=TransientError(silence))
            seen.update(self._seen(link, by_link[link], answer, waited))
        return seen

    def _question(self, link: OpenConnection[ResourceHandler], ids: Sequence[InstanceId]) -> _Question:
        """A new question, or the one that an earlier observation left, unless its answer is old by now."""
        left = self._left.pop((link, tuple(ids)), None)
        return left if left is not None and self._is_of_use(left) else self._ask(link, self._new_question(ids))

    def _leave(self, link: OpenConnection[ResourceHandler], question: _Question) -> None:
        self._left = {key: each for key, each in self._left.items() if self._is_of_use(each)}
        self._left[link, question.ids] = question

    def _is_of_use(self, question: _Question) -> bool:
        return question.answer is None or self.loop.clock.monotonic() - question.asked_at <= 2 * PATIENCE

    def _new_question(
        self, ids: Sequence[InstanceId], done: Callable[[Described], None] = lambda _outcome: None
    ) -> _Question:
        return _Question(tuple(ids), self.loop.clock.monotonic(), done)

    def _answers(
        self, questions: Sequence[_Question], commit_due: Callable[[], None], patience: float | None
    ) -> Steps[None]:
        late: list[bool] = []
        """Not empty once the time has begun; true when it is over."""

        def begin(seconds: float) -> None:
            late.append(False)
            self.loop.after(seconds, lambda: late.append(True))

        if patience is not None:
            begin(patience)

        def over() -> bool:
            answered = [question.answer is not None for question in questions]
            if any(answered) and not all(answered) and not late:
                begin(PATIENCE)
            return all(answered) or any(late)

        yield Waiting(commit_due, over)

    def _seen(
        self,
        link: OpenConnection[ResourceHandler],
        works: Sequence[Work],
        answer: Described,
        age: float,
    ) -> Mapping[str, Outcome[Instance]]:
        """What an answer says about each instance; the question was asked `age` seconds ago."""
        if answer.error is not None:
            return {work.node_id: Outcome(error=answer.error) for work in works}
        instances, asked_at = answer.get(), self.loop.clock.now() - age
        seen = {}
        for work, id in zip(works, _ids(works), strict=True):
            young = asked_at - work.record.created_at <= link.plugin.consistency_window
            instance = instances[id].value
            if not (young and instance is not None and instance.may_be_hidden):
                seen[work.node_id] = instances[id]
        return seen

    def ask(
        self, link: OpenConnection[ResourceHandler], ids: Sequence[InstanceId], done: Callable[[Described], None]
    ) -> None:
        """Ask for these instances on one connection; `done` gets the answer, or the error."""
        self._ask(link, self._new_question(ids, done))

    def _ask(self, link: OpenConnection[ResourceHandler], question: _Question) -> _Question:
        if link not in self._batches:
            self._batches[link] = Batch(
                self.loop,
                link.plugin.poll_seconds[0],
                lambda _question: True,
                link.limits.submit,
                lambda questions: describe(link.plugin, [id for each in questions for id in each.ids]),
                lambda questions, outcome: self._answered(link, questions, outcome),
            )
        self._batches[link].add(question, 0.0)
        return question

    def _answered(
        self,
        link: OpenConnection[ResourceHandler],
        questions: Sequence[_Question],
        outcome: Described,
    ) -> None:
        for question in questions:
            question.tries += 1
            question.last = outcome
            if isinstance(outcome.error, TransientError) and question.tries < TRIES and not question.is_left:
                self._batches[link].add(question, FIRST_DELAY * 2**question.tries)
            elif outcome.error is None or isinstance(outcome.error, ProviderError):
                question.settle(outcome)
            else:
                question.settle(Outcome(error=PermanentError(reason(outcome.error))))


def ask_each(
    loop: Loop,
    commit_due: Callable[[], None],
    links: Sequence[OpenConnection[ResourceHandler]],
    question: Callable[[OpenConnection[ResourceHandler]], T],
) -> Steps[list[Outcome[T]]]:
    """Make the same call on every connection, concurrently; transient errors are retried."""
    answers: dict[OpenConnection[ResourceHandler], Outcome[T]] = {}

    def ask(link: OpenConnection[ResourceHandler], tries: int) -> None:
        link.limits.submit(lambda: question(link), lambda outcome: answered(link, tries, outcome))

    def answered(link: OpenConnection[ResourceHandler], tries: int, outcome: Outcome[T]) -> None:
        if isinstance(outcome.error, TransientError) and tries < TRIES:
            loop.after(FIRST_DELAY * 2**tries, lambda: ask(link, tries + 1))
        else:
            answers[link] = outcome

    for link in links:
        ask(link, 1)
    yield Waiting(commit_due, lambda: len(answers) == len(links))
    return [answers[link] for link in links]


def _ids(works: Sequence[Work]) -> list[InstanceId]:
    return [work.record.instance_id for work in works if work.record.instance_id is not None]
