"""The other instances that an instance's templates may refer to: addresses, node ids, published attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from occopus_core.api.config import ConfigNode, Peer
from occopus_core.api.resource import Address
from occopus_core.descriptions.model import Dependency, Implementation, NodeDescription
from occopus_core.engine.instance.manager_cleanup import registered_node
from occopus_core.engine.instance.work import Work, Works
from occopus_core.engine.planning.mappings import Handed, Publisher, hand
from occopus_core.engine.planning.preparation import Subject
from occopus_core.template_functions import functions


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The instances that stay, as templates of others see them. `works` has all present instances."""

    nodes: Mapping[str, NodeDescription]
    dependencies: Mapping[str, Sequence[Dependency]]
    """See `Infrastructure.dependencies_of`."""
    works: Works

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        """See `occopus_core.template_functions.Peers`."""
        return [work.record.addresses for work in self._staying(node_name)]

    def node_ids(self, node_name: str) -> Sequence[str]:
        """See `occopus_core.template_functions.Peers`."""
        return [work.node_id for work in self._staying(node_name)]

    def handed(self, node_name: str) -> Handed:
        """The attributes that a node receives from its dependees."""
        edges = self.dependencies.get(node_name, ())
        dependees = {edge.dependee for edge in edges if edge.mappings}
        publishers = {name: list(map(_publisher, self._staying(name))) for name in dependees}
        return hand(edges, publishers)

    def subject(self, work: Work, implementation: Implementation | None = None) -> Subject:
        """The instance with the values for its templates, for its own implementation or another one."""
        node = self.nodes.get(work.node_name) or NodeDescription(work.node_name, type="")
        handed = self.handed(work.node_name).values
        way = implementation or work.implementation
        return Subject(node, work.node_id, work.record.token, way, functions(self), handed)

    def peers(self) -> tuple[Peer, ...]:
        """All running instances."""
        works = sorted(self.works.all(), key=lambda work: (work.node_name, work.record.position))
        return tuple(
            Peer(work.node_name, work.node_id, work.record.addresses)
            for work in works
            if work.record.addresses and not work.dropping
        )

    def _staying(self, node_name: str) -> list[Work]:
        works = [work for work in self.works.of(node_name) if not work.dropping]
        return sorted(works, key=lambda work: work.record.position)


def recorded_node(work: Work, installation: str) -> ConfigNode:
    """The node as it was registered with the manager named in its record, with its present addresses."""
    assert work.configuration is not None, "only an instance with a configuration manager is registered"
    node = registered_node(work.configuration, installation)
    return dataclasses.replace(node, instance_id=work.record.instance_id, addresses=work.record.addresses)


def _publisher(work: Work) -> Publisher:
    record = work.configuration
    if record is None:
        return Publisher(work.record.address)
    return Publisher(work.record.address, record.published, record.attributes)
