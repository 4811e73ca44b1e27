"""Many hosts at once, within a bound, with connections that are kept between calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from occopus_core.api.ssh.hostkeys import HostKeys
from occopus_core.api.ssh.session import Deadline, SshResult, SshSession, connect
from occopus_core.api.ssh.target import SshTarget

A = TypeVar("A")
T = TypeVar("T")

AT_ONCE = 32
"""How many hosts are talked to at once, where nothing else is said."""
IDLE_SECONDS = 60.0
"""For how long a connection is kept that nothing uses."""
MOST_IDLE = 128
"""The most connections that are kept."""


class SshPool:
    """Runs commands on hosts, each over a connection that is kept for the next one. Thread-safe.

    A connection that was lost while it was kept is made again; a command is never repeated.
    """

    def __init__(self, host_keys: HostKeys, *, idle_seconds: float = IDLE_SECONDS, most_idle: int = MOST_IDLE) -> None:
        self._host_keys = host_keys
        self._idle_seconds = idle_seconds
        self._most_idle = most_idle
        self._lock = threading.Lock()
        self._idle: dict[SshTarget, tuple[SshSession, float]] = {}
        """The sessions that nothing uses, the one used last at the end, each with since when (monotonic)."""

    def run(self, target: SshTarget, command: str, *, stdin: str = "", timeout: float) -> SshResult:
        """Log in where need be, and run a command; both take at most `timeout` seconds.

        Raises as `connect` and `SshSession.run` do.
        """
        deadline = Deadline(timeout)
        session = self._taken(target) or connect(target, self._host_keys, deadline.left)
        try:
            result = session.run(command, stdin=stdin, timeout=deadline.left)
        except BaseException:
            session.close()
            raise
        self._give_back(session)
        return result

    def drop(self, address: str) -> None:
        """End what is kept to an address, whose instance is about to go. Idempotent."""
        with self._lock:
            going = [target for target in self._idle if target.address == address]
            sessions = [self._idle.pop(target)[0] for target in going]
        _close(sessions)

    def close(self) -> None:
        """End all connections that are kept. The pool can be used again. Idempotent."""
        with self._lock:
            sessions = [session for session, _ in self._idle.values()]
            self._idle.clear()
        _close(sessions)

    def _taken(self, target: SshTarget) -> SshSession | None:
        with self._lock:
            session, _ = self._idle.pop(target, (None, 0.0))
            stale = self._stale()
        _close(stale)
        if session is not None and not session.alive:
            session.close()
            return None
        return session

    def _give_back(self, session: SshSession) -> None:
        with self._lock:
            former, _ = self._idle.pop(session.target, (None, 0.0))
            self._idle[session.target] = (session, time.monotonic())
            stale = self._stale()
        _close([*stale, *([former] if former is not None else [])])

    def _stale(self) -> list[SshSession]:
        """Take out what was kept for long enough. The lock is held."""
        oldest = time.monotonic() - self._idle_seconds
        going = [target for target, (_, since) in self._idle.items() if since < oldest]
        going += list(self._idle)[: max(0, len(self._idle) - self._most_idle)]
        return [self._idle.pop(target)[0] for target in dict.fromkeys(going)]


def side_by_side(call: Callable[[A], T], items: Iterable[A], at_once: int = AT_ONCE) -> Sequence[T]:
    """The answers of a call for each item, in their order, at most `at_once` of the calls at a time.

    What a call raises is raised once all have ended: let the call turn into an answer what is about one host.
    """
    todo = list(items)
    if len(todo) <= 1:
        return [call(item) for item in todo]
    with ThreadPoolExecutor(min(len(todo), at_once), thread_name_prefix="ssh") as threads:
        return list(threads.map(call, todo))


def _close(sessions: Iterable[SshSession]) -> None:
    for session in sessions:
        session.close()
