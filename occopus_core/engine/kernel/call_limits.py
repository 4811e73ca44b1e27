"""Limits on calls: how many run at once, and for how long none are made to a connection after failures."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

from occopus_core.api.errors import AuthError, ThrottledError
from occopus_core.engine.kernel.loop import Loop, Outcome

THROTTLE_SECONDS = 2.0
"""How long a throttled connection pauses when the provider names no time."""

LONGEST_REST = 120.0
"""The longest pause that a provider can ask for: a user may be waiting for a deletion behind it."""

REFUSED_SECONDS = 60.0
"""How long a connection whose credentials were refused is not called: they may be renewed in that time."""

RENDERED_AT_ONCE = 8
"""The number of instances of one infrastructure whose templates are rendered at once."""


class CallQueue:
    """Lets a bounded number of calls run at once, in the pool."""

    def __init__(self, loop: Loop, limit: int) -> None:
        self._loop = loop
        self._limit = limit
        self._waiting: deque[tuple[Callable[[], Any], Callable[[Outcome[Any]], None]]] = deque()
        self._under_way = 0
        self._moved = loop.clock.monotonic()

    def submit(self, call: Callable[[], Any], done: Callable[[Outcome[Any]], None]) -> None:
        """Make the call as soon as a slot is free."""
        self._waiting.append((call, done))
        self._admit()

    def moved(self) -> float:
        """The time (monotonic) at which a call last returned or was let through."""
        return self._moved

    def _admit(self) -> None:
        while self._waiting and self._under_way < self._limit and self._is_open():
            call, done = self._waiting.popleft()
            self._under_way += 1
            self._moved = self._loop.clock.monotonic()
            self._begin(call, done)

    def _is_open(self) -> bool:
        return True

    def _begin(self, call: Callable[[], Any], done: Callable[[Outcome[Any]], None]) -> None:
        self._loop.submit(call, functools.partial(self._returned, done))

    def _returned(self, done: Callable[[Outcome[Any]], None], outcome: Outcome[Any]) -> None:
        self._under_way -= 1
        self._moved = self._loop.clock.monotonic()
        done(outcome)
        self._admit()


class CallLimits(CallQueue):
    """The call queue of one connection: paused when throttled, closed for a while when credentials are refused."""

    def __init__(self, loop: Loop, limit: int) -> None:
        super().__init__(loop, limit)
        self._rests_until = 0.0
        self._refused: AuthError | None = None
        self._refused_until = 0.0
        self._renewals = 0

    def reopen(self) -> None:
        """Call the provider again with new credentials. Results of calls made with the old ones are ignored."""
        self._refused = None
        self._renewals += 1

    def _is_open(self) -> bool:
        if self._refused is not None and self._refused_until > self._loop.clock.monotonic():
            while self._waiting:
                _, done = self._waiting.popleft()
                done(Outcome(error=self._refused))
            return False
        return self._rests_until <= self._loop.clock.monotonic()

    def _begin(self, call: Callable[[], Any], done: Callable[[Outcome[Any]], None]) -> None:
        self._loop.submit(call, functools.partial(self._answered, done, self._renewals))

    def _answered(self, done: Callable[[Outcome[Any]], None], renewals: int, outcome: Outcome[Any]) -> None:
        if isinstance(outcome.error, AuthError) and renewals == self._renewals:
            self._refused = outcome.error
            self._refused_until = self._loop.clock.monotonic() + REFUSED_SECONDS
        elif isinstance(outcome.error, ThrottledError):
            self._rest(min(outcome.error.retry_after or THROTTLE_SECONDS, LONGEST_REST))
        self._returned(done, outcome)

    def _rest(self, seconds: float) -> None:
        self._rests_until = max(self._rests_until, self._loop.clock.monotonic() + seconds)
        self._loop.after(seconds, self._admit)
