"""Applies scaling requests, in order, to the present number of instances. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from occopus_core.descriptions.model import Infrastructure, Scaling
from occopus_core.events import EventKind
from occopus_core.store.records import Condition, InstanceRecord, ScaleKind, ScaleRequest, Stage


def targets_of(candidate: Infrastructure, present: Mapping[str, int]) -> dict[str, int]:
    """The wanted number of instances of each node: the present one within its limits; at first the minimum."""
    return {node.name: node.scaling.wanted(present.get(node.name)) for node in candidate.nodes}


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request, as an event and in words."""

    request: ScaleRequest
    kind: EventKind
    """SCALE_APPLIED, SCALE_CLIPPED if a limit reduced it, or SCALE_REFUSED."""
    text: str


@dataclass(slots=True)
class Scaled:
    """The result of all requests: the new targets, and the instances named for removal."""

    targets: dict[str, int]
    condemned: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)


def scale(
    requests: Sequence[ScaleRequest],
    description: Infrastructure,
    targets: Mapping[str, int],
    records: Sequence[InstanceRecord],
) -> Scaled:
    """Apply requests one after another, each within the limits of its node. Replacements are left to builds."""
    limits = {node.name: node.scaling for node in description.nodes}
    scaled = Scaled(dict(targets))
    for request in requests:
        if request.kind is ScaleKind.REPLACE:
            continue
        node = limits.get(request.node_name)
        if node is None:
            scaled.answers.append(_refuse(request, f"there is no node '{request.node_name}'"))
        elif request.instance:
            scaled.answers.append(_remove(request, node, scaled, records))
        else:
            scaled.answers.append(_move(request, node, scaled))
    return scaled


def _refuse(request: ScaleRequest, why: str) -> Answer:
    return Answer(request, EventKind.SCALE_REFUSED, why)


def _move(request: ScaleRequest, limits: Scaling, scaled: Scaled) -> Answer:
    before = scaled.targets[request.node_name]
    wanted = request.amount if request.kind is ScaleKind.SET else before + request.amount
    after = limits.wanted(wanted)
    scaled.targets[request.node_name] = after
    if after == wanted:
        return Answer(request, EventKind.SCALE_APPLIED, f"{before} -> {after}")
    bound = "maximum" if wanted > after else "minimum"
    return Answer(request, EventKind.SCALE_CLIPPED, f"{before} -> {after} (the {bound} is {after})")


def _remove(request: ScaleRequest, limits: Scaling, scaled: Scaled, records: Sequence[InstanceRecord]) -> Answer:
    """Remove a named instance, and the youngest ones up to the requested number.

    An instance that is not well is removed even if the node is at its minimum; another one replaces it.
    """
    named = [record for record in records if _is_named(record, request)]
    staying = [record for record in named if not _goes(record, scaled)]
    if not staying:
        going = " any more: it is being removed already" if named else ""
        return _refuse(request, f"node '{request.node_name}' has no instance '{request.instance}'{going}")
    if len(staying) > 1:  # they share one address, such as that of their host
        ids = ", ".join(record.node_id for record in staying)
        return _refuse(request, f"several instances have the address '{request.instance}': name one of {ids}")
    before = scaled.targets[request.node_name]
    answer = _move(request, limits, scaled)
    if scaled.targets[request.node_name] < before:
        scaled.condemned.add(staying[0].node_id)
    elif _has_failed(staying[0]):  # it is replaced
        scaled.condemned.add(staying[0].node_id)
        return Answer(request, EventKind.SCALE_APPLIED, f"{before} -> {before}, '{request.instance}' is replaced")
    return answer


def _has_failed(record: InstanceRecord) -> bool:
    return record.stage is Stage.READY and record.condition in {Condition.AILING, Condition.FAILED}


def _is_named(record: InstanceRecord, request: ScaleRequest) -> bool:
    names = (record.node_id, *(address.value for address in record.addresses))
    return record.node_name == request.node_name and request.instance in names


def _goes(record: InstanceRecord, scaled: Scaled) -> bool:
    return record.stage is Stage.DROPPING or record.condemned or record.node_id in scaled.condemned
