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
        self._waiting: deque[tuple[Callable[[], Any], Callable[[Outcome[Any]], None], str]] = deque()
        self._under_way: dict[object, tuple[str, float]] = {}
        """The names of the calls under way, and when they began (monotonic)."""
        self._moved = loop.clock.monotonic()

    def submit(self, call: Callable[[], Any], done: Callable[[Outcome[Any]], None], what: str = "") -> None:
        """Make the call as soon as a slot is free; `what` is the name of the plugin's method, for `longest`."""
        self._waiting.append((call, done, what))
        self._admit()

    def longest(self) -> tuple[str, float]:
        """The name of the oldest call under way that has one, and for how many seconds; empty and 0 without one."""
        now = self._loop.clock.monotonic()
        calls = [(what, now - began) for what, began in self._under_way.values() if what]
        return max(calls, key=lambda each: each[1], default=("", 0.0))

    def moved(self) -> float:
        """The time (monotonic) at which a call last returned or was let through."""
        return self._moved

    def _admit(self) -> None:
        while self._waiting and len(self._under_way) < self._limit and self._is_open():
            call, done, what = self._waiting.popleft()
            key, self._moved = object(), self._loop.clock.monotonic()
            self._under_way[key] = what, self._moved
            self._begin(call, functools.partial(self._returned, key, done))

    def _is_open(self) -> bool:
        return True

    def _begin(self, call: Callable[[], Any], done: Callable[[Outcome[Any]], None]) -> None:
        self._loop.submit(call, done)

    def _returned(self, key: object, done: Callable[[Outcome[Any]], None], outcome: Outcome[Any]) -> None:
        del self._under_way[key]
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
                _, done, _ = self._waiting.popleft()
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
        done(outcome)

    def _rest(self, seconds: float) -> None:
        self._rests_until = max(self._rests_until, self._loop.clock.monotonic() + seconds)
        self._loop.after(seconds, self._admit)
