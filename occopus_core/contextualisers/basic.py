"""`basic`: attributes for the configuration manager, without data for the instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from occopus_core.api.context import Context, ContextForm, Contextualiser, Render


class Basic(Contextualiser):
    """Passes no data to the instance, so that it can be used with every resource handler."""

    contract_version: ClassVar[int] = 1
    forms: ClassVar[frozenset[ContextForm]] = frozenset()

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `Contextualiser.schema`."""
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "attributes": {
                    "description": "Attributes of the node for its configuration manager.",
                    "type": "object",
                    "default": {},
                    "examples": [{"port": "{{variables.port}}"}],
                },
            },
        }

    def contextualise(self, section: Mapping[str, Any], render: Render) -> Context:
        """See `Contextualiser.contextualise`."""
        render(section.get("attributes", {}), at="contextualisation.attributes")
        return Context()
