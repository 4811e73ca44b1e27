"""Blueprints: the description of a node together with the implementations that can make it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from occopus_core.descriptions.model import Implementation, NodeDefinition, NodeDescription

NOT_STORED = ": import its file with occopus-import"
NOT_GIVEN = ", neither in the given file nor stored: add it to the file"
"""The same where a file of node definitions was given."""


class UnbuildableError(Exception):
    """A node cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A node and the implementations that can make it, in the order of the definition."""

    node: NodeDescription
    implementations: tuple[Implementation, ...]
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """By digest of the implementation: identifies the request to the provider. An instance whose fingerprint differs
    has to be replaced."""

    @classmethod
    def of(cls, node: NodeDescription, definition: NodeDefinition | None, missing: str = NOT_STORED) -> Blueprint:
        """The blueprint. Raises `UnbuildableError` without a definition or an implementation that passes the filter.

        `missing` says what to do where there is no definition.
        """
        if definition is None:
            raise UnbuildableError(f"node '{node.name}': there is no node definition '{node.type}'{missing}")
        fitting = tuple(found for found in definition.implementations if found.passes(node.filter))
        if not fitting:
            labels = ", ".join(implementation.label for implementation in definition.implementations)
            raise UnbuildableError(
                f"node '{node.name}': none of the implementations of '{node.type}' passes its filter "
                f"{json.dumps(dict(node.filter))}; there are: {labels}"
            )
        return cls(node, fitting)
