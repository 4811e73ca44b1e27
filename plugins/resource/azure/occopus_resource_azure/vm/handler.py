"""Azure virtual machines as instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from occopus_core.api import ResourceHandler


class AzureVmHandler(ResourceHandler):
    """One subscription of Azure as a provider of virtual machines."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `azure_vm`."""
        endpoint = {"type": "string", "description": "URL of Azure Resource Manager."}
        return {"type": "object", "properties": {"endpoint": endpoint}, "required": ["endpoint"]}
