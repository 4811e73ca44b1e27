"""The health of many nodes: one call for each checker, whichever infrastructures they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.health import Probe, Verdict
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.loop import Loop, Outcome, Steps, Waiting

SPACING = 0.05
"""Seconds in which questions to one checker are gathered."""


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """A node whose health is asked for: what each checker is to look at."""

    node_id: str
    address: str
    checks: Mapping[str, Any] = field(repr=False)


class CheckerError(Exception):
    """A health checker did not do what it is for, which says nothing of the nodes."""


@dataclass(slots=True, eq=False)
class _Question:
    probe: Probe
    outcome: Outcome[Verdict] | None = None


@dataclass(slots=True)
class HealthChecks:
    """Asks the checkers; what is asked at about the same time makes one call."""

    loop: Loop
    connections: Connections
    _batches: dict[str, Batch[_Question, Sequence[Verdict]]] = field(default_factory=dict)

    def examine(
        self, targets: Sequence[CheckTarget], commit_due: Callable[[], None]
    ) -> Steps[Mapping[str, Outcome[Verdict]]]:
        """One outcome for each node, by node id: that of the first checker, by key, which is not satisfied.

        Where there is none, but a checker has failed, its `CheckerError`.
        """
        questions = [self._ask(target, key) for target in targets for key in sorted(target.checks)]
        yield Waiting(commit_due, lambda: all(question.outcome is not None for question in questions))
        found: dict[str, Outcome[Verdict]] = {}
        for question in questions:
            assert question.outcome is not None, "it was waited for"
            known = found.setdefault(question.probe.node_id, question.outcome)
            if _gravity(question.outcome) > _gravity(known):
                found[question.probe.node_id] = question.outcome
        return found

    def _ask(self, target: CheckTarget, key: str) -> _Question:
        if key not in self._batches:
            checker = self.connections.checker(key)
            self._batches[key] = Batch(
                self.loop,
                SPACING,
                lambda _ask: True,
                self.loop.submit,
                lambda questions: checker.check([question.probe for question in questions]),
                lambda questions, outcome: _answer(questions, _outcomes_of(key, len(questions), outcome)),
            )
        value = target.checks[key]
        try:
            auth = self.connections.check_auth(key, value)
        except DescriptionError as error:  # the credentials file was changed since the node was made
            return _Question(Probe(target.node_id, target.address, value), Outcome(error=CheckerError(str(error))))
        question = _Question(
            Probe(target.node_id, target.address, value, auth=auth, host_keys=self.connections.host_keys)
        )
        self._batches[key].add(question, 0.0)
        return question


def _answer(questions: Sequence[_Question], outcomes: Sequence[Outcome[Verdict]]) -> None:
    for question, outcome in zip(questions, outcomes, strict=True):
        question.outcome = outcome


def _gravity(outcome: Outcome[Verdict]) -> int:
    if outcome.value is None:
        return 1
    return 0 if outcome.value.healthy else 2


def verdicts_of(key: str, count: int, outcome: Outcome[Sequence[Verdict]]) -> Sequence[Verdict]:
    """What a checker has answered, where no answer is as bad as a bad one: one verdict for each node."""
    return [each.value or Verdict(False, str(each.error)) for each in _outcomes_of(key, count, outcome)]


def _outcomes_of(key: str, count: int, outcome: Outcome[Sequence[Verdict]]) -> Sequence[Outcome[Verdict]]:
    """What a checker has answered: as many outcomes as were asked for, also where it broke its contract."""
    verdicts = outcome.value
    if outcome.error is not None:
        problem = f"failed: {outcome.error}"
    elif not isinstance(verdicts, Sequence) or not all(isinstance(verdict, Verdict) for verdict in verdicts):
        problem = "did not answer verdicts, which its contract does not allow"
    elif len(verdicts) != count:
        problem = "did not answer for every node"
    else:
        return [Outcome(value=verdict) for verdict in verdicts]
    return [Outcome(error=CheckerError(f"the health checker '{key}' {problem}"))] * count
