"""Fault injection: rules that select calls and their faults.

A rule is a mapping; only `kind` is required.

======================  ==============================================================================================
`kind`                  effect on a call for which the rule fires
======================  ==============================================================================================
``error_500``           refused: an internal error
``throttle``            refused: too many calls; retry after `seconds`
``permanent``           refused permanently, with `reason`
``quota``               refused: no room
``auth``                refused: wrong credentials
``not_found``           refused: a named resource does not exist
``hang``                never answered, and without effect
``lost_reply``          takes effect, and then the connection is closed without an answer
``cut_reply``           takes effect, and half of the answer arrives, as if it were complete
``foreign_reply``       takes effect, and a web page arrives in place of the answer
``latency``             answered `seconds` later
``forget_tokens``       a create ignores its token and makes an instance
``no_trace``            a describe leaves out deleted instances
``invisible_seconds``   a created instance is hidden from describe, list and delete for `seconds`
======================  ==============================================================================================

`operation` (create, describe, list, delete, stop, logs, ensure), `node_name`, `infra_id` and `token` select the calls
of the rule; without them, it is for any call. A call with several instances matches if one of them does; but a refusal
of a delete with `node_name`, `infra_id` or `token` refuses only those instances and not the call. Of its calls, the
rule fires only for the `nth` (from 1), at most `count` times, and with `probability`.

Randomness is seeded: whether the k-th call of an operation for a node fails depends only on the seed and the rules,
not on how the calls of different nodes interleave.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from occopus_core.testing.simcloud.inventory import Refusal
from occopus_core.testing.web import PAGE

OPERATIONS = ("create", "describe", "list", "delete", "stop", "logs", "ensure")
REFUSALS = {
    "error_500": "internal error",
    "throttle": "too many calls",
    "permanent": "refused",
    "quota": "quota exceeded",
    "auth": "the credentials were refused",
    "not_found": "no such thing",
}
KINDS = (
    *REFUSALS,
    "hang",
    "lost_reply",
    "cut_reply",
    "foreign_reply",
    "latency",
    "forget_tokens",
    "no_trace",
    "invisible_seconds",
)


class Subject(Protocol):
    """An instance that a call names, existing or not."""

    @property
    def token(self) -> str:
        """The token; empty if unknown."""

    @property
    def owner(self) -> Mapping[str, str | None]:
        """The owner's tags."""


@dataclass(slots=True)
class Fault:
    """The fault of one call: all rules that fired on it, combined."""

    refusal: Refusal | None = None
    hang: bool = False
    lost_reply: bool = False
    cut_reply: bool = False
    foreign_reply: bool = False
    latency: float = 0.0
    forget_tokens: bool = False
    no_trace: bool = False
    invisible_seconds: float = 0.0

    @property
    def label(self) -> str:
        """The name of the fault in the log of calls."""
        if self.refusal:
            return self.refusal.kind
        flags = ("hang", "lost_reply", "cut_reply", "foreign_reply")
        return next((flag for flag in flags if getattr(self, flag)), "ok")

    def spoilt(self, answer: bytes) -> bytes:
        """The part of an answer that arrives."""
        if self.foreign_reply:
            return PAGE
        return answer[: len(answer) // 2] if self.cut_reply else answer


@dataclass(slots=True)
class FaultRule:
    """One rule, and how often it was evaluated and has fired."""

    kind: str
    operation: str | None = None
    node_name: str | None = None
    infra_id: str | None = None
    token: str | None = None
    nth: int | None = None
    count: int | None = None
    probability: float = 1.0
    seconds: float = 1.0
    reason: str = ""
    seed: str = field(default="", repr=False)
    _asked: int = 0
    _fired: int = 0
    _chance: dict[tuple[str, str], random.Random] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, rule: Mapping[str, Any], seed: str, operations: Sequence[str] = OPERATIONS) -> FaultRule:
        """The rule in a mapping. Raises `ValueError`."""
        known = {each.name for each in fields(cls) if not each.name.startswith("_")} - {"seed"}
        if unknown := sorted(set(rule) - known):
            raise ValueError(f"a fault rule has no {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        if rule.get("kind") not in KINDS:
            raise ValueError(f"fault kind {rule.get('kind')!r} is not one of {', '.join(KINDS)}")
        if rule.get("operation") not in (None, *operations):
            raise ValueError(f"operation {rule['operation']!r} is not one of {', '.join(operations)}")
        return cls(**rule, seed=seed)

    @property
    def per_instance(self) -> bool:
        """True for a rule that refuses single instances of a delete rather than the call."""
        selects = any((self.node_name, self.infra_id, self.token))
        return selects and self.kind in REFUSALS and self.operation in (None, "delete")

    def fires(self, operation: str, subjects: Sequence[Subject]) -> bool:
        """Whether the rule fires this time; counts."""
        if self.operation not in (None, operation) or not any(map(self._selects, subjects)):
            return False
        self._asked += 1
        if self.nth not in (None, self._asked) or (self.count is not None and self._fired >= self.count):
            return False
        if self._draw(operation, subjects) >= self.probability:
            return False
        self._fired += 1
        return True

    def apply(self, fault: Fault) -> None:
        """Add the effect of this rule to a call's fault."""
        if self.kind in REFUSALS:
            fault.refusal = fault.refusal or self.refusal()
        elif self.kind in {"latency", "invisible_seconds"}:
            setattr(fault, self.kind, getattr(fault, self.kind) + self.seconds)
        else:
            setattr(fault, self.kind, True)

    def refusal(self) -> Refusal:
        """The refusal of this rule."""
        retry_after = self.seconds if self.kind == "throttle" else None
        return Refusal(self.kind, self.reason or REFUSALS[self.kind], retry_after)

    def _selects(self, subject: Subject) -> bool:
        return (
            self.token in (None, subject.token)
            and self.infra_id in (None, subject.owner.get("infra_id"))
            and self.node_name in (None, subject.owner.get("node_name"))
        )

    def _draw(self, operation: str, subjects: Sequence[Subject]) -> float:
        if self.probability >= 1:
            return 0.0
        node = next((str(subject.owner.get("node_name")) for subject in subjects), "")
        if (operation, node) not in self._chance:
            self._chance[operation, node] = random.Random(f"{self.seed}/{operation}/{node}")
        return self._chance[operation, node].random()


class Faults:
    """The rules in force. Not thread-safe."""

    def __init__(
        self, rules: Iterable[Mapping[str, Any]] = (), seed: int = 0, operations: Sequence[str] = OPERATIONS
    ) -> None:
        """Raises `ValueError` for an invalid rule, or one for another operation than these."""
        self._rules = [FaultRule.parse(rule, f"{seed}/{number}", operations) for number, rule in enumerate(rules)]

    def for_call(self, operation: str, subjects: Sequence[Subject]) -> Fault:
        """The fault of this call."""
        fault = Fault()
        for rule in self._rules:
            if not (operation == "delete" and rule.per_instance) and rule.fires(operation, subjects):
                rule.apply(fault)
        return fault

    def for_deletion(self, subject: Subject) -> Refusal | None:
        """Why this instance cannot be deleted now; None if it can."""
        for rule in self._rules:
            if rule.per_instance and rule.fires("delete", [subject]):
                return rule.refusal()
        return None
