"""`InfrastructureManager` with the settings that `occo.api.occoapp.setup` has read, and its exceptions."""

from __future__ import annotations

from typing import Any

from occo.api import occoapp
from occopus_core import (
    InfrastructureIDNotFoundException,
    InfrastructureIDTakenException,
)
from occopus_core import InfrastructureManager as _InfrastructureManager
from occopus_core.manager.installation import Strategy

__all__ = ["InfrastructureIDNotFoundException", "InfrastructureIDTakenException", "InfrastructureManager"]


class InfrastructureManager(_InfrastructureManager):
    """`occopus_core.InfrastructureManager`; without an earlier `setup` it reads the user's files itself."""

    def __init__(self, process_strategy: Strategy = "sequential", **options: Any) -> None:
        """`options` are the keyword arguments of `occopus_core.InfrastructureManager`, such as `observer`.

        Raises `DescriptionError`, and `ValueError` for an unknown strategy.
        """
        super().__init__(occoapp.configuration, occoapp.credentials, process_strategy=process_strategy, **options)
