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


def support(needed: Iterable[str], ready: Callable[[str], Collection[InstanceRecord]]) -> Support:
    """The state of the nodes `needed`. `ready` returns the ready instances of a node."""
    latest = Support()
    for name in needed:
        since = _healthy_since(ready(name))
        if since is None:
            return Support(down=name)
        if since > latest.since:
            latest = Support(recovered=name, since=since)
    return latest


def _healthy_since(records: Collection[InstanceRecord]) -> float | None:
    """Since when one of these was well at any time, as far as their rows say; None if none is well.

    Of one that is ill, only the last time in which it was well is known.
    """
    moments = [_well_since(one) for one in records if one.unhealthy_since is None]
    if not moments:
        return None
    since = min(moments)
    former = [(one.unhealthy_since, _well_since(one)) for one in records if one.unhealthy_since is not None]
    for fell_ill, well_since in sorted(former, reverse=True):
        if fell_ill >= since:
            since = min(since, well_since)
    return since


def _well_since(record: InstanceRecord) -> float:
    return record.since if record.well_since is None else max(record.since, record.well_since)


def closure(graph: Graph) -> Mapping[str, Sequence[str]]:
    """All nodes that each node depends on, directly or indirectly; each after those that it depends on itself."""
    needed: dict[str, Sequence[str]] = {}
    for name in graph.order:
        direct = graph.dependees(name)
        found = {*direct, *(other for one in direct for other in needed[one])}
        needed[name] = [other for other in needed if other in found]
    return needed
