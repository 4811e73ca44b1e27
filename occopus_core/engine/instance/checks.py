"""Health checks of many nodes: one call for each checker, across infrastructures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.errors import PermanentError
from occopus_core.api.health import HealthChecker, Probe, Verdict
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.left_questions import PATIENCE, LeftQuestions
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.error_text import text_of
from occopus_core.engine.kernel.guard import BreachError, wrong_answer
from occopus_core.engine.kernel.loop import Loop, Outcome, Steps, Waiting
from occopus_core.named_secrets import hiding, named_secrets
from occopus_core.registry import PluginError
from occopus_core.sound_errors import sound_text

SPACING = 0.05
"""Seconds in which probes for one checker are gathered into one call."""


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """A node to be checked, with the value for each checker."""

    node_id: str
    address: str
    checks: Mapping[str, Any] = field(repr=False)


class CheckerError(PermanentError):
    """A health checker broke its contract or failed; the health of the nodes stays unknown."""


@dataclass(slots=True, eq=False)
class _Question:
    key: str
    """The name of the checker."""
    probes: Sequence[Probe]
    asked_at: float
    """The time (monotonic)."""
    silent_since: float
    """The time (monotonic) since which there is no answer, also to earlier questions."""
    done: Callable[[Sequence[Outcome[Verdict]]], None] = lambda _outcomes: None
    outcomes: Sequence[Outcome[Verdict]] | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """The checker, and the node and the address of its first probe."""
        return self.key, self.probes[0].node_id, self.probes[0].address

    @property
    def is_answered(self) -> bool:
        return self.outcomes is not None

    @property
    def has_failed(self) -> bool:
        return self.outcomes is not None and any(outcome.error is not None for outcome in self.outcomes)

    def settle(self, outcomes: Sequence[Outcome[Verdict]]) -> None:
        self.outcomes = outcomes
        self.done(outcomes)


class HealthChecks:
    """Calls the health checkers. Probes requested at about the same time share one call."""

    def __init__(self, loop: Loop, connections: Connections) -> None:
        self.loop = loop
        self.connections = connections
        self._batches: dict[str, Batch[_Question, Sequence[Verdict]]] = {}
        self._left: LeftQuestions[tuple[str, str, str], _Question] = LeftQuestions(loop.clock)
        """By checker, node and address: those of examinations that went on without the answer."""

    def examine(
        self, targets: Sequence[CheckTarget], commit_due: Callable[[], None]
    ) -> Steps[Mapping[str, Outcome[Verdict]]]:
        """One outcome for each node, by node id: that of the first checker, by key, whose check fails.

        If no check fails but a checker has failed, or has not answered for `PATIENCE` seconds, its `CheckerError`.
        What is not answered is asked again ever more seldom, and not waited for again.
        """
        late: list[bool] = []
        began = self.loop.clock.monotonic()
        questions = [self._ask_for(target, key) for target in targets for key in sorted(target.checks)]
        waited_for = [question for question in questions if question.silent_since >= began]
        self.loop.after(PATIENCE, lambda: late.append(True))
        yield Waiting(commit_due, lambda: bool(late) or all(one.outcomes is not None for one in waited_for))
        self._left.settle({question.place: question for question in questions})
        found: dict[str, Outcome[Verdict]] = {}
        for question in questions:
            (probe,), (outcome,) = question.probes, question.outcomes or (_silence(question.key),)
            known = found.setdefault(probe.node_id, outcome)
            if _gravity(outcome) > _gravity(known):
                found[probe.node_id] = outcome
        return found

    def probe(self, target: CheckTarget, key: str) -> Probe:
        """The probe of a node for one checker. Raises `DescriptionError` if its credentials are ambiguous."""
        value = target.checks[key]
        return Probe(
            target.node_id,
            target.address,
            value,
            auth=self.connections.check_auth(key, value),
            host_keys=self.connections.host_keys,
        )

    def ask(self, key: str, probes: Sequence[Probe], done: Callable[[Sequence[Outcome[Verdict]]], None]) -> None:
        """Call one checker; `done` gets one outcome for each probe."""
        now = self.loop.clock.monotonic()
        self._ask(_Question(key, probes, now, now, done))

    def _ask_for(self, target: CheckTarget, key: str) -> _Question:
        place, now = (key, target.node_id, target.address), self.loop.clock.monotonic()
        since, latest, usable = now, self._left.latest(place), self._left.usable(place)
        if latest is not None and latest.probes[0].value == target.checks[key]:
            if usable is not None:
                return usable
            since = self._left.silent_since(place)
        try:
            probe = self.probe(target, key)
        except DescriptionError as error:  # the credentials file has changed since
            unasked = Probe(target.node_id, target.address, target.checks[key])
            return _Question(key, [unasked], now, now, outcomes=[Outcome(error=CheckerError(str(error)))])
        return self._ask(_Question(key, [probe], now, since))

    def _ask(self, question: _Question) -> _Question:
        key = question.key
        if key not in self._batches:
            try:
                checker = self.connections.checker(key)
            except PluginError as error:
                question.settle([Outcome(error=CheckerError(str(error)))] * len(question.probes))
                return question
            self._batches[key] = Batch(
                self.loop,
                SPACING,
                lambda _ask: True,
                self.loop.submit,
                lambda questions: answered_verdicts(
                    checker, [probe for question in questions for probe in question.probes]
                ),
                lambda questions, outcome: _answer(key, questions, outcome),
            )
        self._batches[key].add(question, 0.0)
        return question


def _answer(key: str, questions: Sequence[_Question], outcome: Outcome[Sequence[Verdict]]) -> None:
    outcomes = _outcomes_of(key, sum(len(question.probes) for question in questions), outcome)
    begin = 0
    for question in questions:
        end = begin + len(question.probes)
        question.settle(outcomes[begin:end])
        begin = end


def _silence(key: str) -> Outcome[Verdict]:
    return Outcome(error=CheckerError(f"check() of the health checker '{key}' has not returned for {PATIENCE:g} s"))


def _gravity(outcome: Outcome[Verdict]) -> int:
    if outcome.value is None:
        return 1
    return 0 if outcome.value.healthy else 2


def verdicts_of(key: str, count: int, outcome: Outcome[Sequence[Verdict]]) -> Sequence[Verdict]:
    """The verdict of a checker for each node. An error of the checker becomes a failed verdict for all."""
    return [each.value or Verdict(False, str(each.error)) for each in _outcomes_of(key, count, outcome)]


def _outcomes_of(key: str, count: int, outcome: Outcome[Sequence[Verdict]]) -> Sequence[Outcome[Verdict]]:
    """The outcome of a call for each of `count` probes."""
    error = outcome.error
    if error is None:
        unexplained = Verdict(False, f"the health checker '{key}' gives no reason")
        return [Outcome(value=each if each.healthy or each.reason else unexplained) for each in outcome.get()]
    problem = str(error) if isinstance(error, BreachError) else f"the health checker '{key}' failed: {text_of(error)}"
    return [Outcome(error=CheckerError(problem))] * count


def answered_verdicts(checker: HealthChecker, probes: Sequence[Probe]) -> Sequence[Verdict]:
    """The answer of a checker, one verdict for each probe. Raises `ProviderError`."""
    answer: object = checker.check(probes)
    if not isinstance(answer, Sequence):
        raise wrong_answer(checker, "check", f"answered {type(answer).__name__}, expected a sequence of Verdict")
    wrong = {type(one).__name__: None for one in answer if not isinstance(one, Verdict)}
    if wrong:
        raise wrong_answer(checker, "check", f"answered {', '.join(wrong)} for probes, expected a Verdict for each")
    if len(answer) != len(probes):
        raise wrong_answer(checker, "check", f"answered {len(answer)} verdicts for {len(probes)} probes")
    return [_without_secrets(one, probe) for one, probe in zip(answer, probes, strict=True)]


def _without_secrets(verdict: Verdict, probe: Probe) -> Verdict:
    """The same verdict, whose reason repeats no value of the check that may be secret by its name."""
    if not any(named_secrets(probe.value)):
        return verdict
    return Verdict(verdict.healthy, sound_text(verdict.reason, hiding(probe.value)))
