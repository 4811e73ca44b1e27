"""Converts the model to JSON for the store, and back, without loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from occopus_core.descriptions.encoding import decoded, encoded
from occopus_core.descriptions.model import (
    AttributeMapping,
    Dependency,
    HealthCheck,
    Implementation,
    Infrastructure,
    NodeDescription,
    OutputTemplate,
    Scaling,
)

T = TypeVar("T")

FORMAT = 2
"""Raised when the format changes; every top-level value contains the format it was written in."""
_UNMARKED = 1
"""The format without written texts of scalars."""


def infrastructure_to_json(infrastructure: Infrastructure) -> dict[str, Any]:
    """The infrastructure as a mapping."""
    return {
        "format": FORMAT,
        "name": infrastructure.name,
        "nodes": list(map(_node_to_json, infrastructure.nodes)),
        "dependencies": list(map(dataclasses.asdict, infrastructure.dependencies)),
        "user_id": infrastructure.user_id,
        "variables": encoded(infrastructure.variables),
        "expires": infrastructure.expires,
        "outputs": list(map(dataclasses.asdict, infrastructure.outputs)),
    }


def _node_to_json(node: NodeDescription) -> dict[str, Any]:
    fields = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    own = {"filter": encoded(node.filter), "variables": encoded(node.variables)}
    return {**fields, **own, "scaling": dataclasses.asdict(node.scaling)}


def infrastructure_from_json(data: Mapping[str, Any]) -> Infrastructure:
    """The infrastructure from the result of `infrastructure_to_json`.

    Raises `ValueError` for another format; this, `TypeError`, `KeyError` or `AttributeError` for invalid data.
    """
    read = _reader(data)
    return Infrastructure(
        name=typed(data["name"], str),
        nodes=tuple(_node(one, read) for one in typed(data["nodes"], list)),
        dependencies=tuple(map(_dependency, typed(data["dependencies"], list))),
        user_id=typed(data["user_id"], str),
        variables=typed(read(data["variables"]), dict),
        expires=typed(data.get("expires", ""), str),
        outputs=tuple(map(_output, typed(data.get("outputs", []), list))),
    )


def _output(data: Mapping[str, Any]) -> OutputTemplate:
    return OutputTemplate(**{key: typed(value, str) for key, value in data.items()})


def _node(data: Mapping[str, Any], read: Callable[[Any], Any]) -> NodeDescription:
    scaling = Scaling(**{key: typed(count, int) for key, count in data["scaling"].items()})
    own = {"filter": read(data["filter"]), "variables": read(data["variables"])}
    node = NodeDescription(**{**data, **own, "scaling": scaling})
    for value, kind in ((node.name, str), (node.type, str), (node.filter, dict), (node.variables, dict)):
        typed(value, kind)
    typed(node.discovers, bool)
    typed(node.when_outdated, str)
    return node


def _dependency(data: Mapping[str, Any]) -> Dependency:
    mappings = tuple(AttributeMapping(**one) for one in data["mappings"])
    edge = Dependency(**{**data, "mappings": mappings})
    typed(edge.dependent, str)
    typed(edge.dependee, str)
    return edge


def implementation_to_json(implementation: Implementation) -> dict[str, Any]:
    """The implementation as a mapping; it may hold passwords."""
    checks = implementation.health_check
    return {
        "format": FORMAT,
        "resource": encoded(implementation.resource),
        "contextualisation": encoded(implementation.contextualisation),
        "config_management": encoded(implementation.config_management),
        "health_check": {
            "checks": encoded(checks.checks),
            "timeout": checks.timeout,
            "min_ready_seconds": checks.min_ready_seconds,
        },
    }


def implementation_from_json(data: Mapping[str, Any]) -> Implementation:
    """The implementation from the result of `implementation_to_json`.

    Raises `ValueError` for another format; this, `TypeError`, `KeyError` or `AttributeError` for invalid data.
    """
    read = _reader(data)
    checks = data["health_check"]
    sections = {name: read(data[name]) for name in ("resource", "contextualisation", "config_management")}
    for name, section in sections.items():
        if section is not None or name == "resource":
            typed(typed(section, dict)["type"], str)
    return Implementation(
        **sections,
        health_check=HealthCheck(
            typed(read(checks["checks"]), dict),
            typed(checks["timeout"], float),
            typed(checks.get("min_ready_seconds", 0.0), float),
        ),
    )


def typed(value: Any, kind: type[T]) -> T:
    """The value if it has this type; an `int` is accepted as `float`. Raises `ValueError` otherwise."""
    fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{type(value).__name__} stands where {kind.__name__} should")
    return cast("T", value)


def _reader(data: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The function that reads values of this format. Raises `ValueError` for an unknown format."""
    typed(data, dict)
    if data.get("format") == FORMAT:
        return decoded
    if data.get("format") == _UNMARKED:
        return lambda value: value
    raise ValueError(f"written in format {data.get('format')}, and this version reads {FORMAT}")
