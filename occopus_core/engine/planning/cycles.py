"""The message about a cycle of nodes: what closes it, and where that is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from occopus_core.api.written import items_of
from occopus_core.descriptions.graph import CycleError, Edge
from occopus_core.descriptions.model import Implementation, Infrastructure
from occopus_core.descriptions.problems import PlacedMessage
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.rehearsal_faults import type_paths
from occopus_core.template_inspection import named_peers


def cycle_message(
    error: CycleError, blueprints: Mapping[str, Blueprint], infrastructure: Infrastructure
) -> PlacedMessage:
    """Names the last dependency of the description in the cycle, if there is one, and the last reference of a template.

    The message begins with the place of the first of these whose place is known.
    """
    reasons: list[str] = []
    places: list[tuple[str, str]] = []
    described = [edge for edge in error.edges if edge.path]
    if described:
        reasons.append(described[-1].why)
        places.append((described[-1].place, described[-1].path))
    by_template = [edge for edge in error.edges if not edge.path]
    if by_template:
        last = by_template[-1]
        blueprint = blueprints[last.dependent]
        found = _place_in_template(last, blueprint)
        reasons.append(f"{last.why} at {found[0]}" if found else last.why)
        places.append(found or (blueprint.node.where, type_paths(infrastructure)[last.dependent]))
    position, path = next((one for one in places if one[0]), places[0])
    text = f"the nodes wait for each other: {error.chain} (closed by {' and '.join(reasons)})"
    return PlacedMessage.of(position, path, text)


def _place_in_template(edge: Edge, blueprint: Blueprint) -> tuple[str, str] | None:
    """The place and the path of the first template that names the dependee; None if that is not known."""
    for implementation in blueprint.implementations:
        for path in _paths_naming(_sections(implementation), edge.dependee):
            if implementation.place is not None:
                return implementation.place(path), path
    return None


def _sections(implementation: Implementation) -> dict[str, Any]:
    return {
        "resource": implementation.resource,
        "contextualisation": implementation.contextualisation,
        "config_management": implementation.config_management,
        "health_check": implementation.health_check.checks,
    }


def _paths_naming(value: Any, node_name: str, at: str = "") -> Iterator[str]:
    """The path of each text that refers to this node by a literal, such as ``resource.image``."""
    if isinstance(value, str):
        if node_name in named_peers(value):
            yield at
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _paths_naming(item, node_name, f"{at}.{key}" if at else str(key))
    else:
        for index, item in items_of(value):
            yield from _paths_naming(item, node_name, f"{at}[{index}]")
