"""One creation at a time for each token in this process, and the creations that were not answered lately."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from occopus_core.api import TransientError


class Tokens:
    """Thread-safe. What is kept here makes a second instance less likely; nothing depends on it after a restart."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, int]] = {}
        self._unanswered: dict[str, float] = {}

    @contextlib.contextmanager
    def held(self, token: str, seconds: float) -> Iterator[None]:
        """Keep other threads from the token. Raises `TransientError` where one has it for longer than `seconds`."""
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
        """A creation of the token may have made something that is not shown yet."""
        now = time.monotonic()
        with self._lock:
            self._unanswered = {each: until for each, until in self._unanswered.items() if until > now}
            self._unanswered[token] = now + self._window

    def unanswered(self, token: str) -> bool:
        """Whether a creation of the token was not answered within the last seconds of the window."""
        with self._lock:
            return self._unanswered.get(token, 0.0) > time.monotonic()
