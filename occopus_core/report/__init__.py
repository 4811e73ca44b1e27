"""Reports on an infrastructure, for people and for programs."""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from occopus_core.api.config import ConfigState
from occopus_core.api.seconds import MOST_SECONDS
from occopus_core.descriptions.model import Implementation, NodeDescription, Scaling
from occopus_core.descriptions.times import written
from occopus_core.engine.planning.backoff import setback_delay
from occopus_core.engine.planning.dependees import support
from occopus_core.engine.planning.plan import lacks_addresses
from occopus_core.report.maintenance import maintainer_of
from occopus_core.report.places import InstancePlace, place_of
from occopus_core.report.seen import is_current, seen_text
from occopus_core.report.under_way import commands, is_abandoned, is_attended, missing_text
from occopus_core.store.records import (
    PENDING,
    Condition,
    Holding,
    InfrastructureRecord,
    InfrastructureState,
    InstanceRecord,
    Maintainer,
    ScaleRequest,
    Stage,
)

if TYPE_CHECKING:
    from occopus_core.engine.planning.declared_outputs import OutputValue
    from occopus_core.store.configurations import ConfigurationRecord


class ReportState(enum.Enum):
    """The states of an instance in reports, better ones first. Every consumer of reports handles all of them."""

    READY = "ready"
    SHUTDOWN = "shutdown"
    """It is being deleted."""
    PENDING = "pending"
    """It is being created, or is not healthy yet."""
    UNKNOWN = "unknown"
    """Neither its provider nor a health check can tell its health."""
    TEMP_FAILED = "temp_failed"
    """It was ready and is not well now."""
    FAILED = "failed"
    """It is to be replaced."""


_STATES = {
    Stage.RESERVED: ReportState.PENDING,
    Stage.CREATING: ReportState.PENDING,
    Stage.BOOTING: ReportState.PENDING,
    Stage.CONFIGURING: ReportState.PENDING,
    Stage.DROPPING: ReportState.SHUTDOWN,
}
_CONDITIONS = {
    Condition.WELL: ReportState.READY,
    Condition.AILING: ReportState.TEMP_FAILED,
    Condition.FAILED: ReportState.FAILED,
    Condition.UNKNOWN: ReportState.UNKNOWN,
}
_UNDESCRIBED = Scaling(0, 0)


def state_of(instance: InstanceRecord) -> str:
    """The state of an instance, as the word that clients of 1.x know."""
    return state_at(instance.stage, instance.condition)


def state_at(stage: Stage, condition: Condition) -> str:
    """The state of any instance in this stage and condition. The only place where report states are derived."""
    return (_CONDITIONS[condition] if stage is Stage.READY else _STATES[stage]).value


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An infrastructure and its instances at one moment."""

    infrastructure: InfrastructureRecord
    nodes: Mapping[str, Sequence[InstanceRecord]]
    """By node, in the order of the description and then those no longer described; instances by position."""
    pending: Sequence[ScaleRequest] = ()
    """The pending scaling requests, oldest first."""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """By digest of an implementation: the seconds that its instances may stay unhealthy."""
    at: float = 0.0
    """The time of the snapshot, in seconds since 1970."""
    places: Mapping[str, InstancePlace] = field(default_factory=dict)
    """By node id: where the instance is."""
    costs: Mapping[str, Decimal | None] | None = None
    """By node id: what the instance has cost so far, None where that is unknown; None if costs were not asked for."""
    maintainer: Maintainer | None = None
    """The process that maintains it periodically."""
    former: Mapping[str, str] = field(default_factory=dict)
    """By node id: why an instance in service does not have its configuration."""
    outputs: Sequence[OutputValue] = ()
    """The values of the outputs of the description, without secrets."""
    references: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By node: the nodes that templates of its instances name; empty if no instance is ill."""
    holding: Holding | None = None
    """Its lease; None if it is free."""

    @classmethod
    def of(
        cls,
        infrastructure: InfrastructureRecord,
        instances: Sequence[InstanceRecord],
        pending: Sequence[ScaleRequest] = (),
        used: Mapping[str, Implementation] | None = None,
        at: float = 0.0,
        configurations: Sequence[ConfigurationRecord] = (),
        maintainer: Maintainer | None = None,
        holding: Holding | None = None,
    ) -> Snapshot:
        """The snapshot from rows of the store. `used` has the implementations of the instances, by digest."""
        known = used or {}
        timeouts = {digest: implementation.health_check.timeout for digest, implementation in known.items()}
        places = {one.node_id: place_of(one, known.get(one.implementation)) for one in instances}
        nodes: dict[str, list[InstanceRecord]] = {node.name: [] for node in infrastructure.current.nodes}
        for instance in sorted(instances, key=lambda one: (one.position, one.created_at, one.node_id)):
            nodes.setdefault(instance.node_name, []).append(instance)
        former = {one.node_id: _why_former(one) for one in configurations if _is_former(one)}
        outputs: Sequence[OutputValue] = ()
        if infrastructure.current.outputs:
            from occopus_core.engine.planning.declared_outputs import output_values  # noqa: PLC0415  # templates

            outputs = output_values(infrastructure.id, infrastructure.current, instances)
        ill = any(one.unhealthy_since is not None for one in instances)
        return cls(
            *(infrastructure, nodes, pending, timeouts, at, places),
            maintainer=maintainer,
            former=former,
            outputs=outputs,
            references=_references(nodes, known) if ill else {},
            holding=holding,
        )

    def with_costs(self, costs: Mapping[str, Decimal | None]) -> Snapshot:
        """The same with what instances have cost, by node id."""
        return replace(self, costs=costs)

    @property
    def abandoned(self) -> str:
        """That no process works on a build, an update or a destruction that was begun, and the way on; else empty."""
        infrastructure = self.infrastructure
        if not is_abandoned(infrastructure.state, self.holding, self.maintainer, self.at):
            return ""
        return f"no process works on it: {commands(infrastructure.id, infrastructure.state)}"

    @property
    def stale(self) -> str:
        """As of when the states of instances in service are, where no process looks at them; else empty."""
        infrastructure = self.infrastructure
        in_service = any(one.stage is Stage.READY for instances in self.nodes.values() for one in instances)
        current = is_current(infrastructure.seen_at, self.maintainer, self.holding, self.at)
        if current or not in_service or infrastructure.state is InfrastructureState.DROPPING:
            return ""
        return seen_text(infrastructure.id, infrastructure.seen_at, self.at)

    def note(self, instance: InstanceRecord) -> str:
        """The problem of an instance, its duration, and when it is replaced; and the addresses that it lacks.

        Before it is ready: what it waits for.
        """
        lacks = self.lack(instance.node_name, instance.outdated) if instance.outdated else ""
        return "; ".join(filter(None, (self._problem(instance), lacks)))

    def lack(self, node: str, names: Collection[str]) -> str:
        """That instances of the node lack addresses of the nodes `names`, and what replaces them."""
        is_replaced = node in self.infrastructure.current.replaced_when_outdated
        return lacks_addresses(names, self.infrastructure.id, node, is_replaced=is_replaced)

    def node_note(self, node: str) -> str:
        """Why instances of the node are missing, or failed ones stay; empty if neither applies."""
        if node in self.infrastructure.undefined:
            return self.infrastructure.undefined[node]
        delay = setback_delay(self.infrastructure.setbacks.get(node), self.at)
        present = [one for one in self.nodes[node] if one.stage is not Stage.DROPPING]
        missing = self.target(node) - len(present)
        if delay and (missing > 0 or any(one.condition is Condition.FAILED for one in present)):
            why = f"occopus-maintain -i {self.infrastructure.id} --events says why"
            return f"it keeps failing: tried again{self._by} at {written(self.at + delay)}; {why}"
        if missing <= 0 or self._is_worked_on:
            return ""
        return missing_text(self.infrastructure.id, missing)

    @property
    def _by(self) -> str:
        """The command that heals it, for messages, if no process does so by itself."""
        return "" if self._is_worked_on else f" by occopus-maintain -i {self.infrastructure.id}"

    @property
    def _is_worked_on(self) -> bool:
        """True if missing instances come by themselves, or only after a build, an update or a destruction."""
        infrastructure = self.infrastructure
        if infrastructure.state is not InfrastructureState.READY or infrastructure.parked:
            return True
        return is_attended(self.holding, self.maintainer, self.at)

    def _problem(self, instance: InstanceRecord) -> str:
        if instance.stage in PENDING:
            return self._waiting(instance)
        if instance.unhealthy_since is None:
            return instance.reason or self.former.get(instance.node_id, "")
        lasts = max(0.0, self.at - instance.unhealthy_since)
        return f"for {lasts:.0f} s{self._replacement(instance, instance.unhealthy_since)}: {instance.reason}"

    def _waiting(self, instance: InstanceRecord) -> str:
        """What an instance that is not ready waits for, if known."""
        if instance.stage is Stage.RESERVED and not instance.reason:
            absent = [f"'{name}'" for name in self._dependees(instance.node_name) if not self._running(name)]
            return f"waiting for {' and '.join(absent)}" if absent else ""
        return f"waiting {instance.reason}" if instance.reason.startswith("for ") else instance.reason

    def _replacement(self, instance: InstanceRecord, ill_since: float) -> str:
        """When an instance that has been ill since then is replaced, or why it is not for now."""
        timeout = min(self.timeouts.get(instance.implementation, -math.inf), MOST_SECONDS)
        needs = support(self._needed(instance.node_name), self._healthy)
        due = max(ill_since, needs.since) + timeout
        if instance.stage is not Stage.READY or instance.condition not in (Condition.AILING, Condition.FAILED):
            return ""
        if instance.condition is Condition.FAILED or (self.at > due and not needs.down):
            held = self._by == "" or self.infrastructure.frozen
            return "" if held else f", replaced{self._by}"
        if self.infrastructure.frozen:
            return ", not replaced while healing is frozen"
        if needs.down:
            return f", not replaced while '{needs.down}' is down"
        if needs.since > ill_since:
            return f", '{needs.recovered}' has recovered: replaced{self._by} unless healthy by {written(due)}"
        return f", replaced{self._by} after {timeout:.15g} s"

    def _dependees(self, node: str) -> list[str]:
        return [each.dependee for each in self.infrastructure.current.dependencies if each.dependent == node]

    def _needed(self, node: str) -> list[str]:
        """The nodes that a node depends on, directly or indirectly, nearer ones last."""
        found = [node]
        for name in found:  # it grows meanwhile
            direct = dict.fromkeys([*self._dependees(name), *self.references.get(name, ())])
            found += [each for each in direct if each not in found]
        return found[:0:-1]

    def _running(self, node: str) -> list[InstanceRecord]:
        return [one for one in self.nodes.get(node, ()) if one.stage is Stage.READY]

    def _healthy(self, node: str) -> list[InstanceRecord]:
        return [one for one in self._running(node) if one.condition in (Condition.WELL, Condition.UNKNOWN)]

    def only(self, *nodes: str) -> Snapshot:
        """A snapshot with these nodes only. Raises `KeyError`."""
        return replace(self, nodes={node: self.nodes[node] for node in nodes})

    def target(self, node: str) -> int:
        """The wanted number of instances of the node; during an update that of the description being built."""
        present = self.infrastructure.targets.get(node)
        if present is None or any(one.name == node for one in self._updated):
            return self.scaling(node).wanted(present)
        return present

    def scaling(self, node: str) -> Scaling:
        """The bounds of the node; during an update those that it is to have, unless the update removes it."""
        described = [*self._updated, *self.infrastructure.current.nodes]
        return next((one.scaling for one in described if one.name == node), _UNDESCRIBED)

    @property
    def _updated(self) -> Sequence[NodeDescription]:
        """The nodes of the description that an update under way is building; empty without one."""
        candidate = self.infrastructure.candidate
        if candidate is None or self.infrastructure.state is not InfrastructureState.UPDATING:
            return ()
        return candidate.nodes

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Dependent and dependee of each dependency of the description between these nodes."""
        pairs = ((one.dependent, one.dependee) for one in self.infrastructure.current.dependencies)
        return [pair for pair in dict.fromkeys(pairs) if self.nodes.keys() >= set(pair)]


def _references(
    nodes: Mapping[str, Sequence[InstanceRecord]], used: Mapping[str, Implementation]
) -> Mapping[str, Collection[str]]:
    from occopus_core.engine.planning.rehearsal import named_nodes  # noqa: PLC0415  # templates

    made = {name: {one.implementation for one in instances} & used.keys() for name, instances in nodes.items()}
    named = {name: {one for digest in digests for one in named_nodes(used[digest])} for name, digests in made.items()}
    return {name: sorted(found & nodes.keys() - {name}) for name, found in named.items()}


def _is_former(configuration: ConfigurationRecord) -> bool:
    served = configuration.served and configuration.wanted != configuration.applied
    return served or configuration.state is ConfigState.QUEUED


def _why_former(configuration: ConfigurationRecord) -> str:
    if configuration.state is ConfigState.QUEUED:
        return f"it waits {configuration.reason}"
    if configuration.state is ConfigState.RUNNING:
        return "it is being reconfigured"
    return "not reconfigured" + (f": {configuration.reason}" if configuration.reason else "")


def report_of(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """By node name: its `instances` by node id, its `scaling`, a `note`, and what is the same for all nodes.

    That is why healing is `frozen`, why a build is being rolled back (`rolling_back`), when the infrastructure
    `expires_at`, its `maintainer`, when it was last looked at (`seen_at`), and its `outputs`: by name the value, None
    where there is none at present.

    The order is that of the snapshot.
    """
    expires_at, seen_at = snapshot.infrastructure.expires_at, snapshot.infrastructure.seen_at
    return {
        name: {
            "instances": {instance.node_id: _instance(snapshot, instance) for instance in instances},
            "scaling": {
                "actual": len(instances),
                "target": snapshot.target(name),
                "min": snapshot.scaling(name).min,
                "max": snapshot.scaling(name).max,
                "pending": [_request(request) for request in snapshot.pending if request.node_name == name],
            },
            "note": snapshot.node_note(name),
            "frozen": snapshot.infrastructure.frozen,
            "rolling_back": snapshot.infrastructure.rolling_back,
            "expires_at": None if expires_at is None else written(expires_at),
            "maintainer": maintainer_of(snapshot.maintainer, snapshot.at),
            "seen_at": None if seen_at is None else written(seen_at),
            "outputs": outputs_of(snapshot),
        }
        for name, instances in snapshot.nodes.items()
    }


def outputs_of(snapshot: Snapshot) -> dict[str, str | None]:
    """By name: the value of each output, None where there is none at present."""
    return {one.name: one.value for one in snapshot.outputs}


def _instance(snapshot: Snapshot, instance: InstanceRecord) -> dict[str, Any]:
    place = snapshot.places.get(instance.node_id, InstancePlace())
    return {
        "resource_address": instance.address,
        "state": state_of(instance),
        "stage": instance.stage.value,
        "since": written(instance.since),
        "created_at": written(instance.created_at),
        "position": instance.position,
        "instance_id": instance.instance_id,
        "addresses": [address.value for address in instance.addresses],
        "cloud": place.cloud,
        "region": place.region,
        "implementation": place.implementation,
        "reason": instance.reason,
        "note": snapshot.note(instance),
        "unhealthy_since": None if instance.unhealthy_since is None else written(instance.unhealthy_since),
        "outdated": list(instance.outdated),
        "condemned": instance.condemned,
        **({} if snapshot.costs is None else {"cost": _cost(snapshot.costs.get(instance.node_id))}),
    }


def _cost(cost: Decimal | None) -> float | None:
    return None if cost is None else float(cost)


def _request(request: ScaleRequest) -> dict[str, Any]:
    return {
        "kind": request.kind.value,
        "amount": request.amount,
        "instance": request.instance,
        "requested_at": written(request.requested_at),
    }
