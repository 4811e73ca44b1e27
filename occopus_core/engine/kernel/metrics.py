"""Hook for call and pass metrics."""

from __future__ import annotations


class CallMetrics:
    """Told of what ended, in any thread; durations in seconds. This one keeps nothing."""

    def called(self, seconds: float, error: Exception | None) -> None:
        """A call of a provider, a configuration manager or a health checker."""

    def passed(self, seconds: float, error: Exception | None) -> None:
        """A maintenance pass."""
