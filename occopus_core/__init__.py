"""Occopus: describe an infrastructure, build it on any cloud, keep it healthy, tear it down.

The Python API is `InfrastructureManager` and its exceptions: `InfrastructureIDTakenException` for an id in use,
`InfrastructureIDNotFoundException` for an unknown id, `BuildError`, `BusyError`, `UnconfirmedError`, and `ValueError`
for tearing down an infrastructure that is being maintained.
"""

from __future__ import annotations

TYPE_CHECKING = False  # every command imports this package, and typing takes as long to import as argparse
if TYPE_CHECKING:
    from typing import Any

    from occopus_core.engine.passes.errors import BuildError, BusyError, UnconfirmedError
    from occopus_core.manager import InfrastructureManager
    from occopus_core.store.records import NoSuchInfrastructureError as InfrastructureIDNotFoundException
    from occopus_core.store.repository import InfrastructureTakenError as InfrastructureIDTakenException

__all__ = [
    "BuildError",
    "BusyError",
    "InfrastructureIDNotFoundException",
    "InfrastructureIDTakenException",
    "InfrastructureManager",
    "UnconfirmedError",
]

_WHERE = {
    "BuildError": ("occopus_core.engine.passes.errors", "BuildError"),
    "BusyError": ("occopus_core.engine.passes.errors", "BusyError"),
    "UnconfirmedError": ("occopus_core.engine.passes.errors", "UnconfirmedError"),
    "InfrastructureManager": ("occopus_core.manager", "InfrastructureManager"),
    "InfrastructureIDNotFoundException": ("occopus_core.store.records", "NoSuchInfrastructureError"),
    "InfrastructureIDTakenException": ("occopus_core.store.repository", "InfrastructureTakenError"),
}


def __getattr__(name: str) -> Any:
    # Every command imports this package: modules that take long to import are imported on demand.
    if name not in _WHERE:
        raise AttributeError(f"module 'occopus_core' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415

    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
