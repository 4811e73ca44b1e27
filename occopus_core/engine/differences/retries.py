"""Retries of failed configurations, at growing intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_RETRY = 30.0
LONGEST_RETRY = 600.0
"""The longest delay, in seconds, before a failed configuration is tried again."""


@dataclass(slots=True)
class Retries:
    """By node id: how often a configuration has failed, and when it may be tried again."""

    _next: dict[str, tuple[int, float]] = field(default_factory=dict)

    def due(self, node_id: str, now: float) -> bool:
        """True if it may be tried now."""
        return self._next.get(node_id, (0, now))[1] <= now

    def tried(self, node_id: str, now: float) -> None:
        """It is tried now: set the next time."""
        count = self._next.get(node_id, (0, now))[0] + 1
        self._next[node_id] = count, now + min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** (count - 1))

    def forget(self, node_id: str) -> None:
        """It has succeeded."""
        self._next.pop(node_id, None)
