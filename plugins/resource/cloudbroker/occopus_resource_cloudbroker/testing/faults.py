"""Faults that the simulated platform injects into calls."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["refuse", "html", "hang", "drip", "lost_reply", "cut_reply", "foreign_reply", "no_id"]
Operation = Literal["create", "list", "get", "stop", "remove", "costs"]


@dataclass
class Fault:
    """A rule: which calls it matches, and how they fail."""

    kind: Kind
    """Without effect: ``refuse`` and ``html`` answer with an error, ``hang`` never answers. With effect: ``drip`` sends
    the answer byte by byte, ``lost_reply`` closes the connection instead of answering, ``cut_reply`` sends only the
    beginning of the answer, as if it were complete, ``foreign_reply`` sends a web page as a success, ``no_id`` sends
    empty ``instance`` elements."""
    operation: Operation | None = None
    """The operation that it matches; None for every operation."""
    id: str = ""
    """Match only calls about this instance."""
    count: int = -1
    """The number of calls after which the rule ends; -1 for no limit."""
    after: int = 0
    """The number of matching calls that succeed first."""
    spreads: bool = False
    """After its first call it matches calls of every operation."""
    status: int = 500
    """The status of the answer, for ``refuse`` and ``html``."""
    message: str = "refused"
    """The text of ``error``, for ``refuse``."""
    type: str = ""
    """The text of ``type``, for ``refuse``."""
    retry_after: int | None = None
    """Seconds in the Retry-After header."""
    share: float = 0.5
    """The share of the answer that is sent, for ``cut_reply``."""

    def meets(self, operation: str, id: str) -> bool:
        """Whether the rule matches the call."""
        return self.count != 0 and self.operation in (None, operation) and self.id in ("", id)


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

    def next_for(self, operation: str, id: str) -> Fault | None:
        """The first rule that matches the call, which is counted."""
        with self._lock:
            for rule in self._rules:
                if not rule.meets(operation, id):
                    continue
                if rule.after:
                    rule.after -= 1
                    continue
                rule.count -= rule.count > 0
                if rule.spreads:
                    rule.operation, rule.id = None, ""
                return rule
        return None
