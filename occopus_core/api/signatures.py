"""Checks that the core can call the constructor and the methods of a plugin."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from occopus_core.api.config import ConfigManager
from occopus_core.api.context import Contextualiser
from occopus_core.api.health import HealthChecker
from occopus_core.api.notify import Notifier
from occopus_core.api.resource import ResourceHandler

_CONSTRUCTORS: Mapping[type, Sequence[str]] = {
    ResourceHandler: ("connection",),
    ConfigManager: ("connection",),
    Notifier: ("connection",),
    HealthChecker: (),
    Contextualiser: (),
}
"""The arguments with which the core makes an object, for each base class."""


def fault_of_signatures(plugin: Any) -> tuple[object, str]:
    """The method of a plugin that cannot be called as its base class has it, and the fault; empty if there is none."""
    for base, arguments in _CONSTRUCTORS.items():
        if not issubclass(plugin, base):
            continue
        for name in ("__init__", *vars(base)):
            method = getattr(plugin, name) if inspect.isroutine(getattr(base, name)) else None
            if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
                return method, f"its {name}() is an async function, expected an ordinary one"
        for name in [name for name, declared in vars(base).items() if isinstance(declared, classmethod)]:
            method, wanted = getattr(plugin, name), list(inspect.signature(getattr(base, name)).parameters)
            if callable(method) and not _accepts(method, wanted):
                hint = ": it needs @classmethod" if inspect.isfunction(method) else ""
                return method, f"its {name}() takes other arguments than ({', '.join(('cls', *wanted))}){hint}"
        for name in [name for name, declared in vars(base).items() if _is_method(name, declared)]:
            if fault := _fault_of_method(plugin, name, getattr(base, name)):
                return getattr(plugin, name), fault
        if not _accepts(plugin, arguments):
            expected = ", ".join(("self", *arguments))
            return plugin.__init__, f"its __init__ takes other arguments than ({expected})"
    return None, ""


def _is_method(name: str, declared: object) -> bool:
    return inspect.isfunction(declared) and not name.startswith("_")


def _fault_of_method(plugin: type, name: str, declared: Callable[..., object]) -> str:
    """What is wrong with the method of this name, which the base class has as `declared`."""
    method, held = getattr(plugin, name), inspect.getattr_static(plugin, name)
    if not callable(method):
        return f"its {name} is {reprlib.repr(method)}, expected a method"
    wanted = list(inspect.signature(declared).parameters)
    if inspect.isfunction(held) and not _accepts(method, wanted):
        return f"its {name}() takes other arguments than ({', '.join(wanted)})"
    return ""


def _accepts(plugin: Any, arguments: Sequence[str]) -> bool:
    try:
        signature = inspect.signature(plugin)
    except (TypeError, ValueError):  # it is not known
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True
