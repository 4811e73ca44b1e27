"""Distinguishes an outage from failed instances: in an outage, replacing instances would do harm."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from occopus_core.store.records import InstanceRecord, Stage

FREEZE_LEAST = 4
"""The smallest number of instances at which an outage can be recognised."""

FREEZE_SHARE = 0.5
"""The share of failing instances above which the failure counts as an outage."""

DEPENDENT_SECONDS = 60.0
"""If a dependent fails within this time after its dependee was replaced or recovered, that is taken as the cause."""


class Source(enum.Enum):
    """How a problem of an instance was noticed."""

    PROVIDER = "provider"
    """The provider reports the instance as stopped, failed or gone."""
    MISSING = "missing"
    """The provider's answer has nothing of the instance."""
    CHECK = "check"
    """A health check fails, or the provider reports a state from which the instance may recover."""


@dataclass(frozen=True, slots=True)
class Ailment:
    """A problem of an instance. `fatal` if the instance is to be replaced: it is lost, or has been ill too long."""

    reason: str
    fatal: bool
    source: Source = Source.CHECK
    until: float | None = None
    """When it becomes fatal (seconds since 1970), if that is known."""
    waits_for: str = ""
    """The node that it depends on and of which no instance is healthy: meanwhile it does not become fatal."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The instances that are kept although they fail, and the reason. Both are empty without an outage."""

    reason: str = ""
    held: frozenset[str] = frozenset()


class Sickbay:
    """The instances of one infrastructure and their problems."""

    def __init__(
        self,
        records: Sequence[InstanceRecord],
        ailments: Mapping[str, Ailment],
        dependees: Mapping[str, Collection[str]],
        places: Mapping[str, str],
    ) -> None:
        """`dependees` are by node name, transitive; `places` has the provider's name of an instance, by node id."""
        self._ready = [record for record in records if record.stage is Stage.READY]
        self._ailments = ailments
        self._dependees = dependees
        self._places = places
        self._by_node: dict[str, list[InstanceRecord]] = {}
        for record in self._ready:
            self._by_node.setdefault(record.node_name, []).append(record)

    def outage(self) -> Outage:
        """Judge whether the failures together are an outage.

        One that the provider reports as stopped, failed or gone is lost and never counts. The same holds for one
        that is missing from an answer with other instances in it. Dependents of failing nodes do not count either.
        """
        silent = self._silent_places()
        missing = frozenset(record.node_id for place in silent.values() for record in place)
        failing = [r for r in self._ready if r.node_id in missing or self._is_ill(r)]
        counted = [r for r in failing if r.node_id in missing or not self._excused(r)]
        ready = len(self._ready)
        most = ready >= FREEZE_LEAST and len(counted) > FREEZE_SHARE * ready
        held = failing if most else [record for place in silent.values() for record in place]
        if most and len(counted) > len(missing):
            why = f"{len(counted)} of {ready} instances fail at once"
        elif silent:
            why = f"all {len(missing)} instances on {', '.join(silent)} are missing at once"
        else:
            return Outage()
        return Outage(f"{why}: {_ending(held)}", frozenset(record.node_id for record in held))

    def follows_dependee(self, record: InstanceRecord) -> bool:
        """True if an instance that is ill or lost is so because of a dependee.

        One that is lost while its dependee fails may have a cause of its own: the dependee has to be replaced by then.
        """
        if record.node_id not in self._ailments:
            return False
        if self._is_ill(record):
            return self._excused(record)
        others = [other for name in self._needed(record) for other in self._by_node.get(name, ())]
        return any(_came_back(other, record) for other in others)

    def _silent_places(self) -> dict[str, list[InstanceRecord]]:
        """The providers whose answers contain none of their instances, with the instances that are missing."""
        places: dict[str, list[InstanceRecord]] = {}
        for record in self._ready:
            places.setdefault(self._places.get(record.node_id, record.connection), []).append(record)
        return {
            place: there
            for place, there in places.items()
            if len(there) >= FREEZE_LEAST and all(self._source(record) is Source.MISSING for record in there)
        }

    def _source(self, record: InstanceRecord) -> Source | None:
        ailment = self._ailments.get(record.node_id)
        return ailment.source if ailment is not None else None

    def _is_ill(self, record: InstanceRecord) -> bool:
        """True for an instance whose health checks fail. One to be removed is not judged: it counts as before."""
        if record.condemned and record.node_id not in self._ailments:
            return record.unhealthy_since is not None
        return self._source(record) is Source.CHECK

    def _excused(self, record: InstanceRecord) -> bool:
        """True if a dependee causes the failure: it fails too, or came back when the instance fell ill."""
        others = [other for name in self._needed(record) for other in self._by_node.get(name, ())]
        ailment = self._ailments.get(record.node_id)
        return (ailment is not None and ailment.waits_for != "") or any(
            other.node_id in self._ailments or _came_back(other, record) for other in others
        )

    def _needed(self, record: InstanceRecord) -> Iterable[str]:
        return (name for name in self._dependees.get(record.node_name, ()) if name != record.node_name)


def _came_back(dependee: InstanceRecord, dependent: InstanceRecord) -> bool:
    """True if the dependee was replaced, or recovered, after the dependent fell ill or shortly before."""
    ill_since = dependent.unhealthy_since
    replaced = dependee.since if dependee.created_at > dependent.created_at else None
    moments = [moment for moment in (replaced, dependee.well_since) if moment is not None]
    return ill_since is not None and any(ill_since <= moment + DEPENDENT_SECONDS for moment in moments)


def _ending(records: Sequence[InstanceRecord]) -> str:
    infra_id = records[0].infra_id
    return (
        "this is treated as an outage: they are not replaced until most of them are healthy; "
        f"occopus-build -i {infra_id} with the same description replaces them now"
    )
