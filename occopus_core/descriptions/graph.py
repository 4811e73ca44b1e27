"""The dependency graph of nodes: their order of creation, or the cycle that prevents one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from occopus_core.descriptions.model import Infrastructure


@dataclass(frozen=True, slots=True)
class Edge:
    """`dependent` needs `dependee`; `why` names the source, such as ``a template of the node definition 'app'``.

    `place` and `path` are the position in the description, and empty for an edge that a template makes.
    """

    dependent: str
    dependee: str
    why: str
    place: str = ""
    path: str = ""


class CycleError(ValueError):
    """A cycle of nodes that wait for each other.

    `nodes` begins and ends with the same name; each needs the next. `closed_by` is the edge that closes the cycle: the
    last one given. `edges` are those of the cycle; this one is the last.
    """

    def __init__(self, nodes: tuple[str, ...], edges: tuple[Edge, ...]) -> None:
        self.nodes = nodes
        self.edges = edges
        self.closed_by = edges[-1]
        self.chain = " -> ".join(nodes)
        super().__init__(f"{self.chain} (closed by {self.closed_by.why})")


class Graph:
    """The dependencies between nodes; immutable. All operations take O(nodes + edges).

    `order` has every node after its dependees, and otherwise the given order. The constructor raises `CycleError`, and
    `KeyError` for an edge to an unknown node.
    """

    def __init__(self, nodes: Iterable[str], edges: Iterable[Edge]) -> None:
        # An edge given twice counts at its first position.
        self._dependees: dict[str, dict[str, tuple[int, Edge]]] = {node: {} for node in nodes}
        self._dependents: dict[str, dict[str, None]] = {node: {} for node in self._dependees}
        for number, edge in enumerate(edges):
            self._dependees[edge.dependent].setdefault(edge.dependee, (number, edge))
            self._dependents[edge.dependee][edge.dependent] = None
        self.order = tuple(self._sorted())

    @classmethod
    def of(cls, infrastructure: Infrastructure, extra: Iterable[Edge] = ()) -> Graph:
        """The graph of an infrastructure, with `extra` edges such as those of templates. Raises `CycleError`."""
        edges = [
            Edge(
                one.dependent,
                one.dependee,
                f"the dependency at {one.where}" if one.where else "a dependency",
                one.where,
                f"dependencies[{index}]",
            )
            for index, one in enumerate(infrastructure.dependencies)
        ]
        return cls((node.name for node in infrastructure.nodes), [*edges, *extra])

    def dependees(self, node: str) -> tuple[str, ...]:
        """The nodes this one needs."""
        return tuple(self._dependees[node])

    def dependents(self, node: str) -> tuple[str, ...]:
        """The nodes that need this one."""
        return tuple(self._dependents[node])

    def _sorted(self) -> Iterator[str]:
        """Depth first, each node after its dependees; with an explicit stack, as chains may be long."""
        done: set[str] = set()
        for start in self._dependees:
            open_: dict[str, Iterator[str]] = {} if start in done else {start: iter(self._dependees[start])}
            while open_:
                node, waiting = next(reversed(open_.items()))
                dependee = next((name for name in waiting if name not in done), None)
                if dependee is None:
                    del open_[node]
                    done.add(node)
                    yield node
                elif dependee in open_:
                    raise self._cycle([*open_], dependee)
                else:
                    open_[dependee] = iter(self._dependees[dependee])

    def _cycle(self, way: list[str], again: str) -> CycleError:
        """Rotate the cycle so that the edge given last closes it."""
        loop = way[way.index(again) :]
        edges = [self._dependees[node][loop[(at + 1) % len(loop)]] for at, node in enumerate(loop)]
        last = max(range(len(edges)), key=lambda at: edges[at][0])
        turned = loop[last + 1 :] + loop[: last + 1]
        around = edges[last + 1 :] + edges[: last + 1]
        return CycleError((*turned, turned[0]), tuple(edge for _, edge in around))
