"""Runs code of a plugin in a thread of its own, for callers that wait for it no longer than they want to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from occopus_core.error_place import place_in_thread

T = TypeVar("T")


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

    def place(self, package: str) -> str:
        """The file and line that it has reached in the top-level package; see `place_in_thread`."""
        return place_in_thread(self.ident, package)
