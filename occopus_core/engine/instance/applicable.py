"""Which description applies to an instance: the one in force, or that of the build that has made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from occopus_core.engine.instance.neighbours import Neighbours
from occopus_core.engine.instance.work import Work, Works
from occopus_core.engine.planning.preparation import Scope


@dataclass(frozen=True, slots=True)
class Applicable:
    """The descriptions of an infrastructure.

    That of a build under way applies to what the build has made (provisional rows), the one in force to all else.
    """

    in_force: Scope
    candidate: Scope | None = None
    """None without a build that changes the description."""

    def scope(self, work: Work) -> Scope:
        """The scope of the description that applies to an instance."""
        return self.candidate if self.candidate is not None and work.record.provisional else self.in_force

    def groups(self, works: Sequence[Work]) -> Iterator[tuple[Scope, Sequence[Work]]]:
        """Each description with the instances that it applies to; the one in force first."""
        for scope in filter(None, (self.in_force, self.candidate)):
            yield scope, [work for work in works if self.scope(work) is scope]


class Surroundings:
    """The neighbours of each instance, as the description that applies to it names them.

    What a build has made does not see the instances that it replaces; all others do not see what the build has made.
    """

    def __init__(self, applicable: Applicable, works: Sequence[Work]) -> None:
        staying = [work for work in works if not work.record.condemned]
        former = [work for work in staying if not work.record.provisional]
        replaced = {_place(work) for work in staying if work.record.provisional}
        made = [work for work in staying if work.record.provisional or _place(work) not in replaced]
        self._former = _neighbours(applicable.in_force, former)
        self._made = _neighbours(applicable.candidate or applicable.in_force, made)

    def of(self, work: Work) -> Neighbours:
        """The neighbours of an instance."""
        return self._made if work.record.provisional else self._former


def _place(work: Work) -> tuple[str, int]:
    """Node name and position: the instance that takes the place of another one has its position."""
    return work.node_name, work.record.position


def _neighbours(scope: Scope, works: Sequence[Work]) -> Neighbours:
    nodes = {node.name: node for node in scope.infrastructure.nodes}
    return Neighbours(nodes, scope.infrastructure.dependencies_of, Works(works))
