"""Imports plugins within a time limit: a module may wait for the network, and a thread cannot be ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from stevedore.extension import Extension
from stevedore.named import NamedExtensionManager

from occopus_core.plugin_thread import PluginThread

T = TypeVar("T")

IMPORT_SECONDS = 60.0
"""Seconds for which the import of a plugin is waited for."""


class ImportHangsError(Exception):
    """The import of a plugin has not ended in time."""

    def __init__(self, thread: PluginThread[Any]) -> None:
        super().__init__(f"its import has not ended for {IMPORT_SECONDS:g} s")
        self.place = thread.place


_under_way: dict[tuple[str, str], tuple[PluginThread[Any], float]] = {}
"""The imports that were not waited for to their end, by kind and type of the plugin, and when (monotonic) each began.

They go on in their threads.
"""


def begun(kind: str, name: str, load: Callable[[], T], patience: float) -> PluginThread[T] | None:
    """Begin the import of a plugin, and wait for it for `patience` seconds. None where one is already under way."""
    if (kind, name) in _under_way and _under_way[kind, name][0].is_alive():
        return None
    return _started(kind, name, load, patience)


def within_limit(kind: str, name: str, load: Callable[[], T]) -> T:
    """What `load` returns, which imports a plugin.

    Propagates its errors. Raises `ImportHangsError` after `IMPORT_SECONDS`, and at once while an import that was given
    up is still under way.
    """
    if (kind, name) in _under_way:
        former, began = _under_way[kind, name]
        former.join(max(0.0, began + IMPORT_SECONDS - time.monotonic()))
        if former.is_alive():
            raise ImportHangsError(former)
    under_way = _started(kind, name, load, IMPORT_SECONDS)
    if under_way.is_alive():
        raise ImportHangsError(under_way)
    return under_way.result()


def _started(kind: str, name: str, load: Callable[[], T], patience: float) -> PluginThread[T]:
    began, thread = time.monotonic(), PluginThread("occopus-import", load)
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        _under_way[kind, name] = thread, began
    else:
        _under_way.pop((kind, name), None)
    return thread


def listed(kind: str, name: str) -> list[object]:
    """The plugins of this name in stevedore's list, which is made when the process begins. Imports them."""
    found: Sequence[Extension[object]] = NamedExtensionManager(
        f"occopus.{kind}",
        [name],
        on_load_failure_callback=_raise,
        on_missing_entrypoints_callback=_say_nothing,
    ).extensions
    return [each.plugin for each in found]


def _raise(_manager: object, _point: object, error: BaseException) -> NoReturn:
    raise error


def _say_nothing(_missing: object) -> None:
    """Do nothing: the error is raised later."""
