"""When configurations that failed are tried again: ever later."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_RETRY = 30.0
LONGEST_RETRY = 600.0
"""Seconds before a configuration that failed is tried again."""


@dataclass(slots=True)
class Retries:
    """When configurations that failed may be tried again: by node id, how often they were and the next time."""

    _next: dict[str, tuple[int, float]] = field(default_factory=dict)

    def due(self, node_id: str, now: float) -> bool:
        """Whether it may be tried now."""
        return self._next.get(node_id, (0, now))[1] <= now

    def tried(self, node_id: str, now: float) -> None:
        """It is tried now: the next time is later."""
        count = self._next.get(node_id, (0, now))[0] + 1
        self._next[node_id] = count, now + min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** (count - 1))

    def forget(self, node_id: str) -> None:
        """It is well again."""
        self._next.pop(node_id, None)
