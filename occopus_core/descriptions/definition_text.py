"""Writes the model of a node definition as text; importing it gives an equal model."""

from __future__ import annotations

from typing import Any

from occopus_core.api.written import WrittenMap, as_yaml
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.descriptions.node_definitions import PREFIX


def definition_text(definition: NodeDefinition) -> str:
    """A node definition as YAML that can be imported again. Comments, aliases and imports are not kept."""
    return as_yaml({f"{PREFIX}{definition.name}": list(map(_implementation, definition.implementations))})


def _implementation(implementation: Implementation) -> dict[str, Any]:
    sections = {
        "resource": implementation.resource,
        "contextualisation": implementation.contextualisation,
        "config_management": implementation.config_management,
        "health_check": _health_check(implementation.health_check),
    }
    return {name: section for name, section in sections.items() if section}


def _health_check(wanted: HealthCheck) -> dict[str, Any]:
    """The section for these checks; a default check that is not among them is switched off."""
    default = HealthCheck()
    made = WrittenMap()
    made.lay_over({key: value for key, value in wanted.checks.items() if default.checks.get(key) is not value})
    made.update({key: False for key in default.checks if key not in wanted.checks})
    for key in ("timeout", "min_ready_seconds"):
        seconds = getattr(wanted, key)
        if seconds != getattr(default, key):
            made[key] = int(seconds) if seconds.is_integer() else seconds
    return made
