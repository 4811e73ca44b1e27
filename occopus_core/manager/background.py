"""Maintenance in a background thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from occopus_core.manager.installation import Installation

ATTACH_SECONDS = 60.0
"""How long a call waits for a busy thread of the loop."""


class Background:
    """Maintains all attached infrastructures with one loop thread and one bounded pool; `close` ends both."""

    def __init__(self, installation: Installation, interval: float, told: Callable[[str, str], None]) -> None:
        """Starts at once. `interval` is in seconds; `told` gets an id and the error of its passes."""
        self._executor = installation.executor()
        self._rounds = installation.rounds(self._executor, interval, told)
        self._thread = threading.Thread(target=self._rounds.run, name="occopus-maintenance", daemon=True)
        self._thread.start()

    @property
    def attached(self) -> frozenset[str]:
        """The infrastructures that are maintained."""
        return self._rounds.attached

    def attach(self, infra_id: str) -> None:
        """Start to maintain an infrastructure; it is `attached` when this returns. Idempotent."""
        begun = threading.Event()
        self._rounds.attach(infra_id, begun.set)
        begun.wait(ATTACH_SECONDS)

    def wake(self, infra_id: str) -> None:
        """Apply requests at once, if the infrastructure is maintained here."""
        self._rounds.wake(infra_id)

    def detach(self, infra_id: str, seconds: float) -> None:
        """Stop maintaining it. Idempotent. Raises `TimeoutError` if a pass has not ended within this many seconds."""
        ended = threading.Event()
        self._rounds.detach(infra_id, ended.set)
        if not ended.wait(seconds):
            raise TimeoutError(f"the pass over '{infra_id}' has not ended within {seconds:g} s")

    def close(self) -> None:
        """Stop maintaining."""
        self._rounds.stop()
        self._thread.join()
        self._executor.shutdown(wait=False, cancel_futures=True)
