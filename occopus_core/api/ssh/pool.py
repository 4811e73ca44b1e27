"""Runs commands on many hosts, a limited number at once, over connections that are kept between calls."""

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
"""The default number of concurrent connections."""
IDLE_SECONDS = 60.0
"""How long an unused connection is kept."""
MOST_IDLE = 128
"""The largest number of unused connections."""


class SshPool:
    """Runs commands on hosts, each over a connection that is kept for the next one. Thread-safe.

    A connection that was lost while it was unused is opened again; a command is never repeated.
    """

    def __init__(self, host_keys: HostKeys, *, idle_seconds: float = IDLE_SECONDS, most_idle: int = MOST_IDLE) -> None:
        self._host_keys = host_keys
        self._idle_seconds = idle_seconds
        self._most_idle = most_idle
        self._lock = threading.Lock()
        self._idle: dict[SshTarget, tuple[SshSession, float]] = {}
        """The unused sessions, the most recent at the end, each with the time (monotonic) of its last use."""

    def run(self, target: SshTarget, command: str, *, stdin: str = "", timeout: float) -> SshResult:
        """Log in if necessary, and run a command; both together take at most `timeout` seconds.

        Raises the errors of `connect` and `SshSession.run`.
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
        """Close the kept connections to an address whose instance is being deleted. Idempotent."""
        with self._lock:
            going = [target for target in self._idle if target.address == address]
            sessions = [self._idle.pop(target)[0] for target in going]
        _close(sessions)

    def close(self) -> None:
        """Close all kept connections. The pool can be used again. Idempotent."""
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
        """Remove and return the sessions that have been unused for too long. The lock is held."""
        oldest = time.monotonic() - self._idle_seconds
        going = [target for target, (_, since) in self._idle.items() if since < oldest]
        going += list(self._idle)[: max(0, len(self._idle) - self._most_idle)]
        return [self._idle.pop(target)[0] for target in dict.fromkeys(going)]


def side_by_side(call: Callable[[A], T], items: Iterable[A], at_once: int = AT_ONCE) -> Sequence[T]:
    """The results of a call for each item, in their order, with at most `at_once` concurrent calls.

    An error is raised after all calls have ended: let the call return errors that concern one host.
    """
    todo = list(items)
    if len(todo) <= 1:
        return [call(item) for item in todo]
    with ThreadPoolExecutor(min(len(todo), at_once), thread_name_prefix="ssh") as threads:
        return list(threads.map(call, todo))


def _close(sessions: Iterable[SshSession]) -> None:
    for session in sessions:
        session.close()
