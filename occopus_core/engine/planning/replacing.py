"""Which instances a build replaces. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from occopus_core.descriptions.graph import Graph
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.engine.planning.decision import Left, Situation
from occopus_core.engine.planning.plan import Plan, Verb
from occopus_core.engine.planning.scaling import Answer
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureRecord, InstanceRecord, ScaleKind, ScaleRequest, Stage


@dataclass(frozen=True, slots=True)
class Replacing:
    """The nodes whose instances a build replaces although nothing about them has changed."""

    named: Collection[str] = ()
    """Nodes named by the user of the build, which replaces all their instances."""
    requests: Sequence[ScaleRequest] = ()
    """Stored requests. Provisional instances stay: an interrupted build has made them as replacements."""
    alone: bool = False
    """The build does nothing else: node definitions that have changed since replace no instances of other nodes."""

    @classmethod
    def of(
        cls,
        pending: Sequence[ScaleRequest],
        record: InfrastructureRecord,
        named: Collection[str] = (),
        *,
        alone: bool = False,
    ) -> Replacing:
        """With those of the pending requests that ask for it. The first build of an infrastructure leaves them."""
        requests = [one for one in pending if one.kind is ScaleKind.REPLACE and record.description is not None]
        return cls(named, requests, alone)

    def unfit(self, blueprints: Mapping[str, Blueprint], records: Sequence[InstanceRecord]) -> dict[str, str]:
        """Why instances are to be replaced, by node id."""
        found = {one.node_id: "its replacement is asked for" for one in records if self._is_asked_for(one)}
        for one in records:
            blueprint = blueprints.get(one.node_name)
            if not self.alone and blueprint is not None and one.fingerprint not in blueprint.fingerprints.values():
                found[one.node_id] = "its definition or its variables have changed"
        return found

    def left(self, situation: Situation, graph: Graph, needing: Collection[str] = (), *, settled: bool) -> Left:
        """What is left to maintenance: nothing, unless the build replaces nodes under a description that is in force.

        It works on the nodes that it replaces, on those with unfit or provisional instances, and on each node that one
        of these, or of `needing`, depends on and that has no usable instance. Nodes that depend on these are
        reconfigured. `settled` is true where the description is in force.
        """
        if not (self.alone or (settled and self.named)):
            return Left()
        concerned = {*self.named, *(one.node_name for one in self.requests)}
        usable: set[str] = set()
        for record in situation.records:
            ailment = situation.ailments.get(record.node_id)
            fit = record.node_id not in situation.unfit and not (ailment is not None and ailment.fatal)
            if record.provisional or record.node_id in situation.unfit:
                concerned.add(record.node_name)
            if fit and record.stage is Stage.READY and not record.condemned:
                usable.add(record.node_name)
        for name in reversed(graph.order):
            if name in concerned or name in needing:
                wanted = (each for each in graph.dependees(name) if situation.targets.get(each))
                concerned.update(each for each in wanted if each not in usable)
        followers = set(concerned)
        for name in graph.order:
            if not followers.isdisjoint(graph.dependees(name)):
                followers.add(name)
        names = {*situation.targets, *(record.node_name for record in situation.records)}
        return Left(frozenset(names - concerned), frozenset(names - followers))

    def answers(self, records: Sequence[InstanceRecord], plan: Plan, described: Collection[str]) -> Iterator[Answer]:
        """The results of the requests after a build that has carried out this plan for the `records` of before.

        An instance that went without another one in its place was not replaced. What a build that was killed has made
        counts, and so does what is missing then: it has deleted the former instance.
        """
        staying = plan.staying
        begun = [one for one in records if one.provisional]
        made = Counter(one.node_name for one in begun if one.node_id in staying)
        made.update(step.node_name for step in plan.of(Verb.REPLACE, *([Verb.CREATE] if begun else [])))
        for request in self.requests:
            count = made[request.node_name]
            if request.node_name not in described:
                yield Answer(request, EventKind.REPLACEMENT_REFUSED, f"there is no node '{request.node_name}'")
            else:
                text = f"{count} instance{'' if count == 1 else 's'} replaced"
                yield Answer(request, EventKind.REPLACEMENT_DONE, text)

    def refusals(self, why: str) -> Iterator[Answer]:
        """The results of the requests where the build failed."""
        for request in self.requests:
            yield Answer(request, EventKind.REPLACEMENT_REFUSED, why)

    def _is_asked_for(self, record: InstanceRecord) -> bool:
        requested = any(one.node_name == record.node_name for one in self.requests)
        return record.node_name in self.named or (requested and not record.provisional)
