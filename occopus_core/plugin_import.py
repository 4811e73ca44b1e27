"""Imports plugins within a time limit: a module may wait for the network, and a thread cannot be ended."""

from __future__ import annotations

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


_hanging: dict[tuple[str, str], PluginThread[Any]] = {}
"""The imports that were given up, by kind and type of the plugin. They go on in their threads."""


def within_limit(kind: str, name: str, load: Callable[[], T]) -> T:
    """What `load` returns, which imports a plugin.

    Propagates its errors. Raises `ImportHangsError` after `IMPORT_SECONDS`, and at once while an import that was given
    up is still under way.
    """
    former = _hanging.get((kind, name))
    if former is not None and former.is_alive():
        raise ImportHangsError(former)
    under_way = PluginThread("occopus-import", load)
    under_way.start()
    under_way.join(IMPORT_SECONDS)
    if under_way.is_alive():
        _hanging[kind, name] = under_way
        raise ImportHangsError(under_way)
    _hanging.pop((kind, name), None)
    return under_way.result()


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
