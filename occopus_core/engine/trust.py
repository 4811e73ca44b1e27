"""What node definitions from the network may not do: run anything on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from occopus_core.descriptions.model import NodeDefinition
from occopus_core.descriptions.problems import DescriptionError, Position, Problem
from occopus_core.render import calls_commands

RUN_HERE = frozenset({"local"})
"""Types of resources that are programs of this machine."""


def refuse_commands(definitions: Sequence[NodeDefinition]) -> None:
    """Raises `DescriptionError` with every definition that only somebody on this machine may import."""
    problems = [
        Problem(Position("request"), f"node_def:{definition.name}[{index}]", message)
        for definition in definitions
        for index, one in enumerate(definition.implementations)
        for message in _faults(
            one.resource,
            [one.resource, one.contextualisation, one.config_management, dict(one.health_check.checks)],
        )
    ]
    if problems:
        raise DescriptionError(problems)


def _faults(resource: Mapping[str, Any], sections: Sequence[object]) -> list[str]:
    faults, type = [], resource["type"]
    if calls_commands(sections):
        faults.append("cmd() is not for definitions from the network: occopus-import this one on the server")
    if type in RUN_HERE:
        faults.append(f"'{type}' runs programs on the server: occopus-import this definition there")
    if not str(resource.get("endpoint", "http://")).lower().startswith(("http://", "https://", "tcp://")):
        faults.append("an endpoint that is no server is for definitions that were occopus-imported on the server")
    return faults
