"""Serialises creations of the same token in this process, and remembers recent unanswered ones."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from occopus_core.api import TransientError


class Tokens:
    """Thread-safe. This state makes a second instance less likely; nothing depends on it after a restart."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, int]] = {}
        self._unanswered: dict[str, float] = {}

    @contextlib.contextmanager
    def held(self, token: str, seconds: float) -> Iterator[None]:
        """Lock the token against other threads.

        Raises `TransientError` if another holds it for longer than `seconds`.
        """
        with self._lock:
            lock, count = self._held.get(token, (threading.Lock(), 0))
            self._held[token] = lock, count + 1
        try:
            if not lock.acquire(timeout=seconds):
                raise TransientError("another creation of the same instance is under way")
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._lock:
                _, count = self._held.pop(token)
                if count > 1:
                    self._held[token] = lock, count - 1

    def remember(self, token: str) -> None:
        """Record that a creation of the token may have made an instance that is not listed yet."""
        now = time.monotonic()
        with self._lock:
            self._unanswered = {each: until for each, until in self._unanswered.items() if until > now}
            self._unanswered[token] = now + self._window

    def unanswered(self, token: str) -> bool:
        """Whether a creation of the token within the last seconds of the window was not answered."""
        with self._lock:
            return self._unanswered.get(token, 0.0) > time.monotonic()
