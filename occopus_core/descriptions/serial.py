"""The model as JSON-able values, for the store, and back. Whatever goes in comes out equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from occopus_core.descriptions.model import (
    AttributeMapping,
    Dependency,
    HealthCheck,
    Implementation,
    Infrastructure,
    NodeDescription,
    Scaling,
)

T = TypeVar("T")

FORMAT = 1
"""Raised when the shape changes; every top-level value carries the number it was written with."""


def infrastructure_to_json(infrastructure: Infrastructure) -> dict[str, Any]:
    """The infrastructure as a mapping."""
    return {"format": FORMAT, **dataclasses.asdict(infrastructure)}


def infrastructure_from_json(data: Mapping[str, Any]) -> Infrastructure:
    """The infrastructure that `infrastructure_to_json` was given.

    Raises `ValueError` for another format; that, `TypeError`, `KeyError` or `AttributeError` for what it never made.
    """
    _check_format(data)
    return Infrastructure(
        name=typed(data["name"], str),
        nodes=tuple(map(_node, typed(data["nodes"], list))),
        dependencies=tuple(map(_dependency, typed(data["dependencies"], list))),
        user_id=typed(data["user_id"], str),
        variables=typed(data["variables"], dict),
    )


def _node(data: Mapping[str, Any]) -> NodeDescription:
    scaling = Scaling(**{key: typed(count, int) for key, count in data["scaling"].items()})
    node = NodeDescription(**{**data, "scaling": scaling})
    for value, kind in ((node.name, str), (node.type, str), (node.filter, dict), (node.variables, dict)):
        typed(value, kind)
    return node


def _dependency(data: Mapping[str, Any]) -> Dependency:
    mappings = tuple(AttributeMapping(**one) for one in data["mappings"])
    edge = Dependency(**{**data, "mappings": mappings})
    typed(edge.dependent, str)
    typed(edge.dependee, str)
    return edge


def implementation_to_json(implementation: Implementation) -> dict[str, Any]:
    """The implementation as a mapping; it may hold passwords."""
    return {"format": FORMAT, **dataclasses.asdict(implementation)}


def implementation_from_json(data: Mapping[str, Any]) -> Implementation:
    """The implementation that `implementation_to_json` was given.

    Raises `ValueError` for another format; that, `TypeError`, `KeyError` or `AttributeError` for what it never made.
    """
    _check_format(data)
    checks = HealthCheck(**data["health_check"])
    typed(checks.checks, dict)
    typed(checks.timeout, float)
    for name in ("contextualisation", "config_management"):
        if data[name] is not None:
            typed(typed(data[name], dict)["type"], str)
    typed(typed(data["resource"], dict)["type"], str)
    return Implementation(
        resource=data["resource"],
        contextualisation=data["contextualisation"],
        config_management=data["config_management"],
        health_check=checks,
    )


def typed(value: Any, kind: type[T]) -> T:
    """The value, which is of this kind; an `int` will do for a `float`. Raises `ValueError` where it is not."""
    fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{type(value).__name__} stands where {kind.__name__} should")
    return cast("T", value)


def _check_format(data: Mapping[str, Any]) -> None:
    typed(data, dict)
    if data.get("format") != FORMAT:
        raise ValueError(f"written in format {data.get('format')}, and this version reads {FORMAT}")
