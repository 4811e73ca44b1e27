"""The values for the templates of one instance that is to be created: those of the nodes that its node depends on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from occopus_core.api.resource import Address
from occopus_core.descriptions.model import NodeDescription
from occopus_core.engine.instance.configuration import Configuring
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.work import Work
from occopus_core.engine.planning.preparation import Subject
from occopus_core.template_functions import functions


@dataclass(frozen=True, slots=True)
class _Dependees:
    """Addresses and ids of the nodes that a node depends on, read when its instance starts."""

    node_name: str
    nodes: Collection[str]
    """The names of all nodes of the infrastructure."""
    known: Mapping[str, Sequence[Sequence[Address]]]
    ids: Mapping[str, Sequence[str]]

    def node_ids(self, node_name: str) -> Sequence[str]:
        return self.ids[node_name] if self.addresses(node_name) else ()

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        if node_name not in self.nodes:
            raise LookupError(f"there is no node '{node_name}'; the nodes are: {', '.join(sorted(self.nodes))}")
        if node_name not in self.known:
            raise LookupError(
                f"it was not seen beforehand that '{self.node_name}' needs '{node_name}': add the dependency "
                f"[{self.node_name}, {node_name}]",
                node_name,
            )
        return self.known[node_name]


@dataclass(frozen=True, slots=True)
class TemplateValues:
    """The values for templates. `dependees` returns the nodes that a node depends on."""

    neighbours: Neighbours
    configuring: Configuring
    dependees: Callable[[str], Iterable[str]]

    def subject(self, work: Work) -> Subject:
        """The instance with the present values for its templates."""
        # A node that is no longer described is only dropped, and only its name is known.
        node = self.neighbours.nodes.get(work.node_name) or NodeDescription(work.node_name, type="")
        needed = self.dependees(node.name)
        known = {name: self.neighbours.addresses(name) for name in needed}
        ids = {name: self.neighbours.node_ids(name) for name in needed}
        seen = _Dependees(node.name, self.neighbours.nodes.keys(), known, ids)
        handed = self.neighbours.handed(node.name).values
        return Subject(node, work.node_id, work.record.token, work.implementation, functions(seen), handed)

    def awaited(self, work: Work) -> Sequence[str]:
        """The attributes that dependees have to publish before the instance is created. Asks their managers."""
        awaited = self.neighbours.handed(work.node_name).awaited
        if awaited:
            self.configuring.refresh(
                each for name in self.dependees(work.node_name) for each in self.neighbours.works.of(name)
            )
        return awaited
