"""Time and threads for tests of the engine: hours pass in milliseconds, and calls are sequential."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualClock:
    """A clock that advances immediately by each waiting time. An `occopus_core.engine.kernel.clock.Clock`."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        """Seconds since 1970 on this clock."""
        return self.time

    def monotonic(self) -> float:
        """The same."""
        return self.time

    def wait(self, inbox: SimpleQueue[Callable[[], None]], seconds: float | None) -> Callable[[], None] | None:
        """Return the next item; without one, advance by the waiting time immediately.

        Raises `AssertionError` if the awaited item can never arrive.
        """
        if not inbox.empty():
            return inbox.get_nowait()
        assert seconds is not None, "the engine waits for something that will never happen"
        self.time += seconds
        return None


class InlineExecutor(Executor):
    """Makes each call immediately, in the caller's thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See `concurrent.futures.Executor.submit`."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # it belongs to the future
            future.set_exception(error)
        return future
