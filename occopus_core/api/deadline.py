"""A time limit for calls of libraries that have none, or one that does not cover the whole call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result or error of the call; `TimeoutError` after so many seconds, while the abandoned call goes on.

    The time limits of an HTTP library start again with every byte received, and cover neither the resolution of names
    nor the search for credentials. This one covers the whole call.
    """
    from concurrent.futures import Future  # noqa: PLC0415  # every plugin imports this package, and few need this

    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the answer is waited for
            answer.set_exception(error)

    # The end of the process does not wait for abandoned calls.
    threading.Thread(target=run, name="call with a deadline", daemon=True).start()
    return answer.result(seconds)
