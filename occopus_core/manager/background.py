"""Maintenance in a background thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from occopus_core.manager.installation import Installation


class Background:
    """Maintains all attached infrastructures with one loop thread and one bounded pool; `close` ends both."""

    def __init__(self, installation: Installation, interval: float, on_error: Callable[[str, str], None]) -> None:
        """Starts at once. `interval` is in seconds; `on_error` gets an id and the error of its passes."""
        self._attaching: set[str] = set()
        """Attached by a caller, and not yet known to the loop thread."""
        self._lock = threading.Lock()
        self._executor = installation.executor()
        self._rounds = installation.rounds(self._executor, interval, on_error)
        self._thread = threading.Thread(target=self._rounds.run, name="occopus-maintenance", daemon=True)
        self._thread.start()

    @property
    def attached(self) -> frozenset[str]:
        """The infrastructures that are maintained."""
        with self._lock:
            announced = frozenset(self._attaching)
        return announced | self._rounds.attached

    def attach(self, infra_id: str) -> bool:
        """Start to maintain an infrastructure; False if it is maintained already.

        It is `attached` when this returns, however busy the thread is: of several callers at once, one gets True.
        """
        with self._lock:
            if infra_id in self._attaching or infra_id in self._rounds.attached:
                return False
            self._attaching.add(infra_id)
        self._rounds.attach(infra_id, lambda: self._taken_up(infra_id))
        return True

    def _taken_up(self, infra_id: str) -> None:
        with self._lock:
            self._attaching.discard(infra_id)

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
