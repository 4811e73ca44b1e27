"""Faults that the simulated CloudSigma injects into calls."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["refuse", "html", "hang", "lost_reply", "cut_reply", "foreign_reply"]


@dataclass
class Fault:
    """A rule: which calls it matches, and how they fail."""

    kind: Kind
    """Without effect: ``refuse`` and ``html`` answer with an error, ``hang`` never answers. With effect: ``lost_reply``
    closes the connection instead of answering, ``cut_reply`` sends the first half of the answer, as if it were
    complete, ``foreign_reply`` sends a web page as a success."""
    call: str = ""
    """A regular expression for method, path and query, such as ``POST /servers/ ``; empty for every call."""
    count: int = -1
    """The number of calls after which the rule ends; -1 for no limit."""
    probability: float = 1.0
    """The share of the matching calls that fail."""
    status: int = 500
    """The status of the answer, for ``refuse`` and ``html``."""
    error_type: str = "backend"
    message: str = "unknown error"
    """The error message, for ``refuse``."""
    point: str | None = None
    """The field to which the refusal refers."""
    retry_after: int | None = None
    """Seconds in the Retry-After header."""


class Faults:
    """The rules in force. Thread-safe."""

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._rules: list[Fault] = []
        self.changed = threading.Event()
        """Set when the rules are replaced, which ends calls that hang."""

    def replace(self, rules: Sequence[Fault]) -> None:
        """Replace the rules."""
        with self._lock:
            self._rules = list(rules)
            self.changed.set()
            self.changed = threading.Event()

    def next_for(self, call: str) -> Fault | None:
        """The first rule that matches the call, which is counted."""
        with self._lock:
            for rule in self._rules:
                if rule.count and re.search(rule.call, call) and self._random.random() < rule.probability:
                    rule.count -= rule.count > 0
                    return rule
        return None
