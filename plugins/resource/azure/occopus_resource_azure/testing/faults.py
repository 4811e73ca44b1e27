"""Faults that the simulated Azure injects into calls."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "refuse", "html", "hang", "drip", "lost_reply", "cut_reply", "foreign_reply", "fail_operation", "slow", "stuck"
]
OPERATION_KINDS = ("fail_operation", "slow", "stuck")


@dataclass
class Fault:
    """A rule: which calls it matches, and how they fail. Empty selectors match every call."""

    kind: Kind
    """Without effect: ``refuse`` and ``html`` answer with an error, ``hang`` never answers. With effect: ``drip`` sends
    the answer byte by byte, ``lost_reply`` closes the connection instead of answering, ``cut_reply`` sends only the
    beginning of the answer, as if it were complete, ``foreign_reply`` sends a web page as a success. For the
    asynchronous operation that the call starts: ``fail_operation`` fails it with `code` and `message`, ``slow`` extends
    it by `seconds`, ``stuck`` never ends it."""
    method: str = ""
    type: str = ""
    """The resource type, as in ``Microsoft.Compute/virtualMachines``; ``resourceGroups``, ``resources``; ``login`` for
    the login host, ``operations`` for polls of asynchronous operations."""
    name: str = ""
    """The name of the resource, with ``*`` and ``?``; of a child, with that of its parent: ``vnet/subnet``."""
    action: str = ""
    """The last word of the path of an action, as in ``start``."""
    region: str = ""
    """Match only requests whose body names this location."""
    listing: bool | None = None
    """Match only lists, or only calls to one resource."""
    skip: int = 0
    """The number of matching calls that are left alone first."""
    count: int = -1
    """The number of calls after which the rule ends; -1 for no limit."""
    status: int = 500
    code: str = ""
    message: str = ""
    details: Sequence[dict[str, Any]] | None = None
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    share: float = 0.5
    """The share of the answer that is sent, for ``cut_reply``."""
    seconds: float = 0.0

    def error(self) -> dict[str, Any]:
        """The ARM error of the rule."""
        made: dict[str, Any] = {"code": self.code or "InternalServerError", "message": self.message or "An error."}
        if self.details is not None:
            made["details"] = [dict(each) for each in self.details]
        if self.target:
            made["target"] = self.target
        return made


@dataclass(frozen=True)
class Call:
    """A call in the form in which faults match it and tests count it."""

    method: str
    type: str
    """As `Fault.type`."""
    name: str = ""
    action: str = ""
    region: str = ""
    listing: bool = False

    def __str__(self) -> str:
        words = (f"{self.method} {self.type}", self.action and f"/{self.action}", " (list)" if self.listing else "")
        return "".join(words)

    def met_by(self, fault: Fault) -> bool:
        """Whether the selectors of the fault match it."""
        return (
            fault.method.upper() in ("", self.method)
            and fault.type.lower() in ("", self.type.lower())
            and (not fault.name or fnmatch.fnmatchcase(self.name.lower(), fault.name.lower()))
            and fault.action.lower() in ("", self.action.lower())
            and fault.region in ("", self.region)
            and fault.listing in (None, self.listing)
        )


class Faults:
    """The rules in force. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self.changed = threading.Event()
        """Set when the rules are replaced, which ends what hangs."""

    def replace(self, rules: Sequence[Fault]) -> None:
        """Replace the rules."""
        with self._lock:
            self._rules = list(rules)
            self.changed.set()
            self.changed = threading.Event()

    def add(self, rule: Fault) -> None:
        """Add a rule after the existing ones."""
        with self._lock:
            self._rules.append(rule)

    def next_for(self, call: Call, *, operations: bool) -> Fault | None:
        """The first rule of its kind that matches the call, which is counted.

        With `operations` the rules for asynchronous operations, otherwise those for answers.
        """
        with self._lock:
            for rule in self._rules:
                if (rule.kind in OPERATION_KINDS) is not operations or rule.count == 0 or not call.met_by(rule):
                    continue
                if rule.skip:
                    rule.skip -= 1
                    continue
                rule.count -= rule.count > 0
                return rule
        return None
