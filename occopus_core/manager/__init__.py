"""What every front end calls, and the Python API: describe, build, maintain, scale, report, destroy."""

from occopus_core.manager.ids import InfraIdError
from occopus_core.manager.manager import InfrastructureManager, NoSuchNodeError

__all__ = ["InfraIdError", "InfrastructureManager", "NoSuchNodeError"]
