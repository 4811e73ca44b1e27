"""Hook for call and pass metrics."""

from __future__ import annotations


class CallMetrics:
    """Receives the duration, in seconds, of each call and pass, in any thread. This base class ignores them."""

    def called(self, seconds: float, error: Exception | None) -> None:
        """A call to a provider, a configuration manager or a health checker has ended."""

    def passed(self, seconds: float, error: Exception | None) -> None:
        """A maintenance pass has ended."""
