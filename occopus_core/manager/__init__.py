"""The manager, called by every front end and as the Python API: describe, build, maintain, scale, report, destroy."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from occopus_core.manager.dry_run import DryRunError
    from occopus_core.manager.errors import NoSuchNodeError
    from occopus_core.manager.ids import InfraIdError
    from occopus_core.manager.manager import InfrastructureManager

__all__ = ["DryRunError", "InfraIdError", "InfrastructureManager", "NoSuchNodeError"]


def __getattr__(name: str) -> object:
    # Some commands need only one module of this package; importing all of them takes long.
    if name not in __all__:
        raise AttributeError(f"module 'occopus_core.manager' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415

    module = {"DryRunError": "dry_run", "InfraIdError": "ids", "NoSuchNodeError": "errors"}.get(name, "manager")
    return getattr(import_module(f"occopus_core.manager.{module}"), name)
