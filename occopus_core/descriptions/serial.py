"""The model as JSON-able values, for the store, and back. Whatever goes in comes out equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from occopus_core.descriptions.model import (
    AttributeMapping,
    Dependency,
    HealthCheck,
    Implementation,
    Infrastructure,
    NodeDescription,
    Scaling,
)

FORMAT = 1
"""Raised when the shape changes; every top-level value carries the number it was written with."""


def infrastructure_to_json(infrastructure: Infrastructure) -> dict[str, Any]:
    """The infrastructure as a mapping."""
    return {"format": FORMAT, **dataclasses.asdict(infrastructure)}


def infrastructure_from_json(data: Mapping[str, Any]) -> Infrastructure:
    """The infrastructure that `infrastructure_to_json` was given. Raises `ValueError` for another format."""
    _check_format(data)
    return Infrastructure(
        name=data["name"],
        nodes=tuple(NodeDescription(**{**node, "scaling": Scaling(**node["scaling"])}) for node in data["nodes"]),
        dependencies=tuple(
            Dependency(**{**edge, "mappings": tuple(AttributeMapping(**one) for one in edge["mappings"])})
            for edge in data["dependencies"]
        ),
        user_id=data["user_id"],
        variables=data["variables"],
    )


def implementation_to_json(implementation: Implementation) -> dict[str, Any]:
    """The implementation as a mapping; it may hold passwords."""
    return {"format": FORMAT, **dataclasses.asdict(implementation)}


def implementation_from_json(data: Mapping[str, Any]) -> Implementation:
    """The implementation that `implementation_to_json` was given. Raises `ValueError` for another format."""
    _check_format(data)
    return Implementation(
        resource=data["resource"],
        contextualisation=data["contextualisation"],
        config_management=data["config_management"],
        health_check=HealthCheck(**data["health_check"]),
    )


def _check_format(data: Mapping[str, Any]) -> None:
    if data.get("format") != FORMAT:
        raise ValueError(f"written in format {data.get('format')}, and this version reads {FORMAT}")
