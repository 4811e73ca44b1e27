"""The requests of recorded instances, as they would be beside other instances, each rendered once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api.resource import Address
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.work import Work
from occopus_core.engine.planning.fingerprints import rendered_fingerprint
from occopus_core.engine.planning.preparation import Scope
from occopus_core.template_functions import functions


@dataclass(frozen=True, slots=True)
class _Reading:
    """The neighbours of an instance. Records what its templates have read of them."""

    neighbours: Neighbours
    addresses_read: dict[str, Sequence[Sequence[Address]]] = field(default_factory=dict)
    ids_read: dict[str, Sequence[str]] = field(default_factory=dict)

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        """See `occopus_core.template_functions.Peers`."""
        return self.addresses_read.setdefault(node_name, self.neighbours.addresses(node_name))

    def node_ids(self, node_name: str) -> Sequence[str]:
        """See `occopus_core.template_functions.Peers`."""
        return self.ids_read.setdefault(node_name, self.neighbours.node_ids(node_name))

    def is_same_beside(self, others: Neighbours) -> bool:
        """True if templates that have read this would read the same of others."""
        addresses = (others.addresses(name) == read for name, read in self.addresses_read.items())
        return all(addresses) and all(others.node_ids(name) == read for name, read in self.ids_read.items())


class RenderedRequests:
    """The requests of the instances of one infrastructure under one description.

    A request is rendered again only beside instances of which its templates would read something else.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], list[tuple[_Reading, str]]] = {}
        """By node id, implementation and received attributes: what was read, and the fingerprint."""

    def beside(
        self,
        scope: Scope,
        neighbours: Neighbours,
        work: Work,
        implementation: Implementation,
        handed: Mapping[str, Any] | None = None,
    ) -> str:
        """The fingerprint of an instance's request beside these neighbours; empty if it cannot be rendered.

        `handed` are the attributes that it receives, in the place of those that the neighbours publish. Raises
        `CutOffError`.
        """
        subject = neighbours.subject(work, implementation)
        if handed is not None:
            subject = dataclasses.replace(subject, mapped=handed)
        known = self._known.setdefault((work.node_id, implementation.digest, repr(subject.mapped)), [])
        for reading, fingerprint in known:
            if reading.is_same_beside(neighbours):
                return fingerprint
        reading = _Reading(neighbours)
        fingerprint = rendered_fingerprint(scope, dataclasses.replace(subject, functions=functions(reading)))
        known.append((reading, fingerprint))
        return fingerprint
