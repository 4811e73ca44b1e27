"""Asks the providers for the state of instances: one call for each connection, across infrastructures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from occopus_core.api.errors import PermanentError, ProviderError, TransientError
from occopus_core.api.resource import Instance, InstanceId, Owner, ResourceHandler
from occopus_core.engine.instance.left_questions import LOST_SECONDS, PATIENCE, LeftQuestions
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.call_limits import LONGEST_REST
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.guard import BreachError, mapping_of, sound_answer, wrong_answer
from occopus_core.engine.kernel.instances import WrongInstanceError, instance_of
from occopus_core.engine.kernel.intervals import FIRST_DELAY
from occopus_core.engine.kernel.loop import Loop, Outcome, Steps, Waiting
from occopus_core.engine.kernel.open_connection import OpenConnection

T = TypeVar("T")

TRIES = 5
"""How often a provider is asked before it counts as unreachable."""

STILL_SECONDS = LONGEST_REST + LOST_SECONDS
"""Seconds after which a connection counts as unreachable on which no call begins or returns, even after a pause."""

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
    silent_since: float
    """The time (monotonic) since which there is no answer, also to earlier questions."""
    done: Callable[[Described], None]
    tries: int = 0
    begun_at: float | None = None
    """When the call of the present try began (monotonic); None while it waits for that."""
    is_left: bool = False
    """True once an observation has gone on without the answer."""
    last: Described | None = None
    """The error of the last try."""
    answer: Described | None = None

    @property
    def is_answered(self) -> bool:
        return self.answer is not None

    @property
    def has_failed(self) -> bool:
        return self.answer is not None and self.answer.error is not None

    def settle(self, answer: Described) -> None:
        self.answer = answer
        self.done(answer)


_Place = tuple[OpenConnection[ResourceHandler], tuple[InstanceId, ...]]
"""A connection, and the instances that were asked for."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What the providers say about instances."""

    seen: Mapping[str, Outcome[Instance]]
    """By node id: the instance, or the error of its provider."""
    hidden: Collection[str]
    """The node ids of those that are absent and so young that their provider may not show them yet."""


class Observatory:
    """Asks for many instances at once; requests made in the same turn of the loop share one call."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._batches: dict[OpenConnection[ResourceHandler], Batch[_Question, Descriptions]] = {}
        self._left: LeftQuestions[_Place, _Question] = LeftQuestions(loop.clock)
        """Those of observations that went on without the answer."""

    def observe(
        self, works: Sequence[Work], commit_due: Callable[[], None], patience: float | None = None
    ) -> Steps[Observed]:
        """The present instances, without those that have no id.

        A silent provider delays the others by at most `PATIENCE` seconds, and then its instances have an error; where
        all are silent, they are waited for until their calls have lasted for `STILL_SECONDS`, or cannot begin since no
        call has begun or returned for as long. With
        `patience`, all are waited for up to so many seconds, those left from earlier observations not at all;
        instances whose provider may still answer in time are left out. Without it, every provider is asked again.
        """
        by_link: dict[OpenConnection[ResourceHandler], list[Work]] = {}
        seen: dict[str, Outcome[Instance]] = {}
        hidden: set[str] = set()
        for work in works:
            if work.link is not None and work.record.instance_id is not None:
                by_link.setdefault(work.link, []).append(work)
            elif work.unreachable:
                seen[work.node_id] = Outcome(error=PermanentError(work.unreachable))
        began = self.loop.clock.monotonic()
        questions = {link: self._question(link, _ids(asked), patience) for link, asked in by_link.items()}
        waited_for = {link: one for link, one in questions.items() if patience is None or one.silent_since >= began}
        yield from self._answers(waited_for, commit_due, patience)
        self._left.settle({(link, question.ids): question for link, question in questions.items()})
        for link, question in questions.items():
            question.is_left, answer = not question.is_answered, question.answer or question.last
            if answer is None:
                if patience is not None and self.loop.clock.monotonic() - question.silent_since < PATIENCE:
                    continue
                label = by_link[link][0].implementation.label
                is_still = self._still_for(link, question) >= STILL_SECONDS
                silence = (
                    link.silence(label) if is_still else f"describe() of {label} has not returned for {PATIENCE:g} s"
                )
                answer = Outcome(error=TransientError(silence))
            hidden.update(self._hidden(link, by_link[link], question, answer))
            for work, id in zip(by_link[link], question.ids, strict=True):
                if work.node_id not in hidden:
                    seen[work.node_id] = of_one(answer, id)
        return Observed(seen, hidden)

    def _question(
        self, link: OpenConnection[ResourceHandler], ids: Sequence[InstanceId], patience: float | None
    ) -> _Question:
        """A new question; with `patience`, the one that an earlier observation left, as long as it is of use."""
        place = link, tuple(ids)
        left = self._left.usable(place) if patience is not None else None
        return left or self._ask(link, self._new_question(ids, silent_since=self._left.silent_since(place)))

    def _new_question(
        self,
        ids: Sequence[InstanceId],
        done: Callable[[Described], None] = lambda _outcome: None,
        silent_since: float | None = None,
    ) -> _Question:
        now = self.loop.clock.monotonic()
        return _Question(tuple(ids), now, now if silent_since is None else silent_since, done)

    def _answers(
        self,
        questions: Mapping[OpenConnection[ResourceHandler], _Question],
        commit_due: Callable[[], None],
        patience: float | None,
    ) -> Steps[None]:
        late: list[bool] = []
        """Not empty once the time has begun; true when it is over."""

        def begin(seconds: float) -> None:
            late.append(False)
            self.loop.after(seconds, lambda: late.append(True))

        def look() -> None:
            still = [self._still_for(link, one) for link, one in questions.items() if not one.is_answered]
            left = STILL_SECONDS - min(still, default=STILL_SECONDS)
            if left > 0:
                self.loop.after(left, look)
            else:
                late.append(True)

        if patience is not None:
            begin(patience)
        else:
            look()

        def over() -> bool:
            answered = [question.answer is not None for question in questions.values()]
            if any(answered) and not all(answered) and not late:
                begin(PATIENCE)
            return all(answered) or any(late)

        yield Waiting(commit_due, over)

    def _hidden(
        self, link: OpenConnection[ResourceHandler], works: Sequence[Work], question: _Question, answer: Described
    ) -> Collection[str]:
        """The node ids of instances that may exist although the answer says that they do not."""
        asked_at = self.loop.clock.now() - (self.loop.clock.monotonic() - question.asked_at)
        young = (
            (work.node_id, of_one(answer, id).value)
            for work, id in zip(works, question.ids, strict=True)
            if asked_at - work.record.created_at <= link.plugin.consistency_window
        )
        return {node_id for node_id, instance in young if instance is not None and instance.may_be_hidden}

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
                lambda call, done: link.limits.submit(call, done, "describe"),
                lambda questions: describe(link.plugin, [id for each in questions for id in each.ids]),
                lambda questions, outcome: self._answered(link, questions, outcome),
                self._queue,
            )
        self._batches[link].add(question, 0.0)
        return question

    def _queue(self, questions: Sequence[_Question]) -> Callable[[], None]:
        def begun() -> None:
            for question in questions:
                if question.begun_at is None:
                    question.begun_at = self.loop.clock.monotonic()

        return begun

    def _still_for(self, link: OpenConnection[ResourceHandler], question: _Question) -> float:
        """For how many seconds nothing has happened that brings the answer nearer."""
        return _still_for(self.loop, link, question.asked_at, question.begun_at)

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
                question.begun_at = None
                self._batches[link].add(question, FIRST_DELAY * 2**question.tries)
            elif outcome.error is None or isinstance(outcome.error, ProviderError):
                question.settle(outcome)
            else:
                question.settle(Outcome(error=PermanentError(reason(outcome.error))))


def ask_each(
    loop: Loop,
    commit_due: Callable[[], None],
    links: Sequence[OpenConnection[ResourceHandler]],
    what: str,
    question: Callable[[OpenConnection[ResourceHandler]], T],
) -> Steps[list[Outcome[T]]]:
    """Make the same call on every connection, concurrently; transient errors are retried.

    `what` is the name of the plugin's method. A connection has failed whose call has lasted for `STILL_SECONDS`, or
    cannot begin since no call has begun or returned for as long.
    """
    answers: dict[OpenConnection[ResourceHandler], Outcome[T]] = {}
    begun: dict[OpenConnection[ResourceHandler], float] = {}

    def call(link: OpenConnection[ResourceHandler]) -> T:
        begun[link] = loop.clock.monotonic()
        return question(link)

    def ask(link: OpenConnection[ResourceHandler], tries: int) -> None:
        if link not in answers:
            begun.pop(link, None)
            link.limits.submit(lambda: call(link), lambda outcome: answered(link, tries, outcome), what)

    def answered(link: OpenConnection[ResourceHandler], tries: int, outcome: Outcome[T]) -> None:
        if isinstance(outcome.error, TransientError) and tries < TRIES:
            loop.after(FIRST_DELAY * 2**tries, lambda: ask(link, tries + 1))
        else:
            answers.setdefault(link, outcome)

    def look(link: OpenConnection[ResourceHandler], asked_at: float) -> None:
        left = STILL_SECONDS - _still_for(loop, link, asked_at, begun.get(link))
        if link in answers:
            return
        if left > 0:
            loop.after(left, lambda: look(link, asked_at))
        else:
            answers[link] = Outcome(error=TransientError(link.silence("it")))

    for link in links:
        ask(link, 1)
        look(link, loop.clock.monotonic())
    yield Waiting(commit_due, lambda: len(answers) == len(links))
    return [answers[link] for link in links]


def _still_for(loop: Loop, link: OpenConnection[ResourceHandler], asked_at: float, begun_at: float | None) -> float:
    """For how many seconds a call lasts; one that waits: for how many no call has begun or returned (monotonic times).

    Calls that return on the connection are no sign that one comes back that is lost.
    """
    return loop.clock.monotonic() - (max(asked_at, link.limits.moved()) if begun_at is None else begun_at)


def _ids(works: Sequence[Work]) -> list[InstanceId]:
    return [work.record.instance_id for work in works if work.record.instance_id is not None]
