"""What is known of an infrastructure, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from occopus_core.store.records import InfrastructureRecord, InstanceRecord, Stage

STATES = {
    Stage.RESERVED: "pending",
    Stage.CREATING: "pending",
    Stage.BOOTING: "pending",
    Stage.CONFIGURING: "pending",
    Stage.READY: "ready",
    Stage.DROPPING: "shutdown",
}
"""The words in which clients have always been told the state of a node."""


def report(record: InfrastructureRecord, instances: Sequence[InstanceRecord]) -> dict[str, dict[str, Any]]:
    """By node name: its `instances` by node id, and its `scaling`; nodes in the order of the description."""
    by_node: dict[str, list[InstanceRecord]] = {}
    for instance in instances:
        by_node.setdefault(instance.node_name, []).append(instance)
    limits = {node.name: node.scaling for node in record.current.nodes}
    names = [*limits, *(name for name in by_node if name not in limits)]
    return {
        name: {
            "instances": {instance.node_id: _instance(instance) for instance in by_node.get(name, ())},
            "scaling": {
                "actual": len(by_node.get(name, ())),
                "target": record.targets.get(name, 0),
                "min": limits[name].min if name in limits else 0,
                "max": limits[name].max if name in limits else 0,
            },
        }
        for name in names
    }


def _instance(instance: InstanceRecord) -> dict[str, Any]:
    return {
        "resource_address": instance.address,
        "state": STATES[instance.stage],
        "stage": instance.stage.value,
        "since": datetime.fromtimestamp(instance.since, UTC).isoformat(timespec="seconds"),
        "addresses": [address.value for address in instance.addresses],
        "reason": instance.reason,
    }
