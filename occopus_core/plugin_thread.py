"""Runs code of a plugin in a thread of its own, for callers that wait for it no longer than they want to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from occopus_core.api.errors import PermanentError
from occopus_core.error_place import breach_text, place_in_thread

T = TypeVar("T")

OFFLINE_SECONDS = 30.0
"""Seconds for which code of a plugin is waited for that must not do I/O."""


class PluginThread(threading.Thread, Generic[T]):
    """A call in a thread of its own, which goes on where it is not waited for any more."""

    def __init__(self, name: str, call: Callable[[], T]) -> None:
        super().__init__(name=name, daemon=True)
        self._call = call
        self._made: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call."""
        try:
            self._made.append(self._call())
        except BaseException as error:  # noqa: BLE001  # it is raised where the call is waited for
            self._error = error

    @property
    def has_failed(self) -> bool:
        """True if the call has raised something."""
        return self._error is not None

    def result(self) -> T:
        """What the call, which has ended, has returned. Raises what it has raised."""
        if self._error is not None:
            raise self._error
        return self._made[0]

    def offline_result(self, plugin: object, who: str, what: str) -> T:
        """What `what` of a plugin has returned, which must not do I/O. Raises what it has raised.

        `plugin` is its class, `who` its name in messages. Raises `PermanentError` if it has not ended after
        `OFFLINE_SECONDS`.
        """
        self.join(OFFLINE_SECONDS)
        if self.is_alive():
            where = self.place(str(getattr(plugin, "__module__", "")).partition(".")[0])
            raise PermanentError(breach_text(who, f"{what} has not returned for {OFFLINE_SECONDS:g} s{where}"))
        return self.result()

    def place(self, package: str) -> str:
        """The file and line that it has reached in the top-level package; see `place_in_thread`."""
        return place_in_thread(self.ident, package)


def offline(call: Callable[[], T], plugin: object, who: str, what: str) -> T:
    """What `call` returns, in a thread of its own; see `offline_result`."""
    thread = PluginThread(f"occopus-{what}", call)
    thread.start()
    return thread.offline_result(plugin, who, what)
