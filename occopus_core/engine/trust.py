"""What node definitions from the network may not do: run anything on this machine."""

from __future__ import annotations

from collections.abc import Sequence

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
            one.resource["type"],
            [one.resource, one.contextualisation, one.config_management, dict(one.health_check.checks)],
        )
    ]
    if problems:
        raise DescriptionError(problems)


def _faults(type: str, sections: Sequence[object]) -> list[str]:
    faults = []
    if calls_commands(sections):
        faults.append("cmd() is not for definitions from the network: occopus-import this one on the server")
    if type in RUN_HERE:
        faults.append(f"'{type}' runs programs on the server: occopus-import this definition there")
    return faults
