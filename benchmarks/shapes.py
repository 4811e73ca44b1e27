"""Shapes of infrastructures: nodes with known boot times and dependencies."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

DEFINITION = "benchmark"
"""The only node definition; nodes differ in `variables.boot`."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is ready `seconds` after the last of its dependees."""

    name: str
    seconds: float
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shape:
    """A named graph of nodes, in which a node follows its dependees."""

    title: str
    nodes: tuple[Node, ...]

    @functools.cached_property
    def critical_path(self) -> float:
        """The shortest possible build time, in seconds."""
        ready: dict[str, float] = {}
        for node in self.nodes:
            ready[node.name] = node.seconds + max((ready[name] for name in node.needs), default=0.0)
        return max(ready.values())

    def infrastructure(self, instances: int = 1) -> str:
        """The infrastructure description with this many instances of each node, as YAML."""
        edges = [[node.name, needed] for node in self.nodes for needed in node.needs]
        nodes: list[dict[str, Any]] = [
            {"name": node.name, "type": DEFINITION, "variables": {"boot": node.seconds}} for node in self.nodes
        ]
        if instances > 1:
            nodes = [{**node, "scaling": {"min": instances}} for node in nodes]
        description: dict[str, Any] = {"user_id": "benchmark", "infra_name": "benchmark", "nodes": nodes}
        return _yaml({**description, "dependencies": edges} if edges else description)

    def definitions(self, endpoint: str) -> str:
        """The node definition on the simulated cloud at `endpoint`, as YAML."""
        resource = {"type": "sim", "endpoint": endpoint, "boot_seconds": "{{ variables.boot }}"}
        return _yaml({f"node_def:{DEFINITION}": [{"resource": resource, "health_check": {"ping": False}}]})


def independent(count: int, seconds: float) -> Shape:
    """Nodes without dependencies."""
    return Shape(f"{count:,} independent", tuple(Node(f"n{number}", seconds) for number in range(count)))


def chain(count: int, seconds: float) -> Shape:
    """Each node depends on the previous one."""
    return Shape(f"chain of {count}", _chain("n", [seconds] * count))


def uneven(unit: float) -> Shape:
    """Two parallel chains, one of 8-1-8-1 units and one of 1-8-1-8.

    If a whole level of the graph had to be ready before the next one starts, a build would take 32 units instead of 18.
    """
    slow_first, fast_first = [8 * unit, unit] * 2, [unit, 8 * unit] * 2
    return Shape("uneven chains", _chain("a", slow_first) + _chain("b", fast_first))


def random_graph(count: int, seconds: float, seed: int) -> Shape:
    """Each node depends on up to three earlier ones and takes between half and one and a half times `seconds`."""
    source = random.Random(seed)
    names = [f"n{number}" for number in range(count)]
    nodes = (
        Node(
            name,
            round(seconds * source.uniform(0.5, 1.5), 3),
            tuple(source.sample(names[:number], min(number, source.randint(0, 3)))),
        )
        for number, name in enumerate(names)
    )
    return Shape(f"random graph of {count}", tuple(nodes))


def _chain(prefix: str, seconds: list[float]) -> tuple[Node, ...]:
    return tuple(
        Node(f"{prefix}{number}", each, (f"{prefix}{number - 1}",) if number else ())
        for number, each in enumerate(seconds)
    )


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
