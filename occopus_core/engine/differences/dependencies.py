"""Dependencies between the present nodes, including those made by references in templates."""

from __future__ import annotations

from collections.abc import Iterable

from occopus_core.descriptions.graph import CycleError, Edge, Graph
from occopus_core.descriptions.model import Implementation, NodeDescription
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.loop import Loop, Steps
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.preparation import Scope
from occopus_core.engine.planning.rehearsal import references_of


def dependencies(loop: Loop, scope: Scope, works: Iterable[Work]) -> Steps[Graph]:
    """The graph of the infrastructure as its instances were made, each by the implementation in its row.

    Templates are rendered in the pool. A template that cannot be rendered any more adds no dependency. If the
    references of templates contradict the description, only the description counts.
    """
    nodes = {node.name: node for node in scope.infrastructure.nodes}
    used: dict[str, dict[str, Implementation]] = {}
    for work in works:
        if work.node_name in nodes:
            used.setdefault(work.node_name, {})[work.implementation.digest] = work.implementation
    blueprints = {name: _blueprint(node, used.get(name, {}).values()) for name, node in nodes.items()}
    references = yield from loop.in_pool(lambda: list(references_of(scope, blueprints)))
    edges = [Edge(found.dependent, found.dependee, found.where) for found in references]
    try:
        return Graph.of(scope.infrastructure, edges)
    except CycleError:
        return Graph.of(scope.infrastructure)


def _blueprint(node: NodeDescription, implementations: Iterable[Implementation]) -> Blueprint:
    return Blueprint(node, tuple(implementations))
