"""Which nodes an instance depends on: whether they are down, and since when they are healthy."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from occopus_core.descriptions.graph import Graph
from occopus_core.store.records import InstanceRecord


@dataclass(frozen=True, slots=True)
class Support:
    """The state of the nodes that an instance depends on. A node is down while no instance of it is healthy."""

    down: str = ""
    """The first node that is down; empty if all are healthy."""
    recovered: str = ""
    """The node that became healthy last."""
    since: float = -math.inf
    """Since when all of them are healthy (seconds since 1970)."""


def support(needed: Iterable[str], healthy: Callable[[str], Collection[InstanceRecord]]) -> Support:
    """The state of the nodes `needed`. `healthy` returns the ready instances of a node that are well."""
    latest = Support()
    for name in needed:
        moments = [_healthy_since(record) for record in healthy(name)]
        if not moments:
            return Support(down=name)
        if min(moments) > latest.since:
            latest = Support(recovered=name, since=min(moments))
    return latest


def _healthy_since(record: InstanceRecord) -> float:
    return record.since if record.well_since is None else max(record.since, record.well_since)


def closure(graph: Graph) -> Mapping[str, Sequence[str]]:
    """All nodes that each node depends on, directly or indirectly; each after those that it depends on itself."""
    needed: dict[str, Sequence[str]] = {}
    for name in graph.order:
        direct = graph.dependees(name)
        found = {*direct, *(other for one in direct for other in needed[one])}
        needed[name] = [other for other in needed if other in found]
    return needed
