"""A time limit for calls whose library has none, or has one that does not hold for all of the call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """What the call answers or raises; `TimeoutError` after so many seconds, with the call going on unheard.

    The time limits of an HTTP library begin anew with every byte that arrives, and hold neither for the resolution of
    names nor for the search for credentials. This one holds for all of it.
    """
    from concurrent.futures import Future  # noqa: PLC0415  # every plugin imports this package, and few need this

    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the answer is waited for
            answer.set_exception(error)

    # Whoever ends the process does not wait for calls that nobody listens to any more.
    threading.Thread(target=run, name="call with a deadline", daemon=True).start()
    return answer.result(seconds)
