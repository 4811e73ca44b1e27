"""What a node is to be made from: its description and the implementations that fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from occopus_core.descriptions.model import Implementation, NodeDefinition, NodeDescription


class UnbuildableError(Exception):
    """A node cannot be made at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A node and the implementations it may be made by, in the order of the definition."""

    node: NodeDescription
    implementations: tuple[Implementation, ...]
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """By the digest of an implementation: names what is asked of a provider for an instance. Where it differs from that
    of an instance, a change needs another instance."""

    @classmethod
    def of(cls, node: NodeDescription, definition: NodeDefinition | None) -> Blueprint:
        """Raises `UnbuildableError` where there is no definition or no implementation passes the filter."""
        if definition is None:
            raise UnbuildableError(
                f"node '{node.name}': there is no node definition '{node.type}': occopus-import the file that has it"
            )
        fitting = tuple(found for found in definition.implementations if found.passes(node.filter))
        if not fitting:
            labels = ", ".join(implementation.label for implementation in definition.implementations)
            raise UnbuildableError(
                f"node '{node.name}': none of the implementations of '{node.type}' passes its filter "
                f"{json.dumps(dict(node.filter))}; there are: {labels}"
            )
        return cls(node, fitting)
