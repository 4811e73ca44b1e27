"""What scaling requests come to: pure, from the requests in their order and what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from occopus_core.descriptions.model import Infrastructure, Scaling
from occopus_core.store.records import InstanceRecord, ScaleKind, ScaleRequest, Stage


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, in words. `clipped` where a limit kept it from being met in full."""

    request: ScaleRequest
    text: str
    clipped: bool = False


@dataclass(slots=True)
class Scaled:
    """The outcome of all requests: the new targets, and the instances that were named to go."""

    targets: dict[str, int]
    condemned: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)


def scale(
    requests: Sequence[ScaleRequest],
    description: Infrastructure,
    targets: Mapping[str, int],
    records: Sequence[InstanceRecord],
) -> Scaled:
    """Apply requests one after another, each within the limits of its node."""
    limits = {node.name: node.scaling for node in description.nodes}
    scaled = Scaled(dict(targets))
    for request in requests:
        node = limits.get(request.node_name)
        if node is None:
            scaled.answers.append(Answer(request, f"there is no node '{request.node_name}'", clipped=True))
        elif request.instance:
            scaled.answers.append(_remove(request, node, scaled, records))
        else:
            scaled.answers.append(_move(request, node, scaled))
    return scaled


def _move(request: ScaleRequest, limits: Scaling, scaled: Scaled) -> Answer:
    before = scaled.targets[request.node_name]
    wanted = request.amount if request.kind is ScaleKind.SET else before + request.amount
    after = min(max(wanted, limits.min), limits.max)
    scaled.targets[request.node_name] = after
    limit = f" (limits {limits.min}..{limits.max})" if after != wanted else ""
    return Answer(request, f"{before} -> {after}{limit}", clipped=after != wanted)


def _remove(request: ScaleRequest, limits: Scaling, scaled: Scaled, records: Sequence[InstanceRecord]) -> Answer:
    """One instance that was named goes, and with it as many of the youngest as the request asks for."""
    named = next((record for record in records if _is_named(record, request, scaled)), None)
    if named is None:
        return Answer(request, f"node '{request.node_name}' has no instance '{request.instance}'", clipped=True)
    before = scaled.targets[request.node_name]
    answer = _move(request, limits, scaled)
    if scaled.targets[request.node_name] < before:
        scaled.condemned.add(named.node_id)
    return answer


def _is_named(record: InstanceRecord, request: ScaleRequest, scaled: Scaled) -> bool:
    if record.node_name != request.node_name or record.stage is Stage.DROPPING:
        return False
    if record.condemned or record.node_id in scaled.condemned:
        return False
    return request.instance == record.node_id or any(a.value == request.instance for a in record.addresses)
