"""Azure container groups as instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from occopus_core.api import ResourceHandler


class AzureAciHandler(ResourceHandler):
    """One subscription of Azure as a provider of container groups."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `azure_aci`."""
        endpoint = {"type": "string", "description": "URL of Azure Resource Manager."}
        return {"type": "object", "properties": {"endpoint": endpoint}, "required": ["endpoint"]}
