"""Faults that the simulated EC2 injects into calls."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["refuse", "html", "hang", "drip", "lost_reply", "cut_reply", "foreign_reply", "first_page", "take_back"]


@dataclass
class Fault:
    """A rule: which calls it matches, and how they fail."""

    kind: Kind
    """Without effect: ``refuse`` and ``html`` answer with an error, ``hang`` never answers. With effect: ``drip`` sends
    the answer byte by byte, ``lost_reply`` closes the connection instead of answering, ``cut_reply`` sends only the
    beginning of the answer, as if it were complete, ``foreign_reply`` sends `message`, or a web page, as a success.
    ``first_page`` ignores the NextToken of a call. ``take_back`` answers RunInstances normally, and terminates the
    instance at once."""
    action: str = ""
    """The EC2 action that it matches; empty for every action."""
    value: str = ""
    """Match only calls with a parameter of this value, such as the id of an instance."""
    parameter: str = ""
    """Match only calls with this parameter."""
    session: str = ""
    """Match only calls with this session token of temporary credentials."""
    count: int = -1
    """The number of calls after which the rule ends; -1 for no limit."""
    status: int = 500
    """The status of the answer, for ``refuse`` and ``html``."""
    code: str = ""
    message: str = ""
    """The error message for ``refuse``, the answer for ``foreign_reply``, the reason of the state for ``take_back``."""
    share: float = 0.5
    """The share of the answer that is sent, for ``cut_reply``."""
    retry_after: int | None = None
    """Seconds in the Retry-After header."""

    def meets(self, parameters: Mapping[str, str], session: str) -> bool:
        """Whether the rule matches a call with these parameters, in this session."""
        return (
            self.session in ("", session)
            and self.count != 0
            and self.action in ("", parameters.get("Action"))
            and (not self.value or self.value in parameters.values())
            and (not self.parameter or self.parameter in parameters)
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

    def next_for(self, parameters: Mapping[str, str], session: str) -> Fault | None:
        """The first rule that matches the call, which is counted."""
        with self._lock:
            for rule in self._rules:
                if rule.meets(parameters, session):
                    rule.count -= rule.count > 0
                    return rule
        return None
