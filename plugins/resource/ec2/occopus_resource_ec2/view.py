"""Translates instances from the terms of EC2 to those of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState
from occopus_resource_ec2.tags import written

_STATES: Mapping[str, InstanceState] = {
    "pending": InstanceState.PENDING,
    "running": InstanceState.READY,
    "shutting-down": InstanceState.DELETING,
    "terminated": InstanceState.ABSENT,
    "stopping": InstanceState.STOPPED,
    "stopped": InstanceState.STOPPED,
}
GONE = "terminated"
"""EC2's name for the state of a deleted instance; EC2 still describes and lists it for an hour."""

_NO_ROOM = ("Server.InsufficientInstanceCapacity", "Client.VolumeLimitExceeded")
"""The reasons with which EC2 terminates an accepted instance before it runs. An instance that ran has other reasons."""


def instance(answer: Mapping[str, Any]) -> Instance:
    """Translate one element of ``Instances``."""
    raw_state = answer.get("State", {}).get("Name", "")
    state = _STATES.get(raw_state, InstanceState.UNKNOWN)
    if state is InstanceState.ABSENT and answer.get("StateReason", {}).get("Code") in _NO_ROOM:
        state = InstanceState.PROVISIONING  # the next `create` reports why
    owner, token = written(answer.get("Tags", ()))
    return Instance(
        id=InstanceId(answer["InstanceId"]),
        state=state,
        addresses=_addresses(answer),
        token=token,
        owner=owner,
        raw_state=raw_state,
        reason="" if state is InstanceState.READY else _reason(answer, raw_state),
    )


def _addresses(answer: Mapping[str, Any]) -> tuple[Address, ...]:
    kinds = {
        "PublicIpAddress": AddressKind.PUBLIC,
        "PrivateIpAddress": AddressKind.PRIVATE,
        "Ipv6Address": AddressKind.PUBLIC,
    }
    return tuple(Address(answer[key], kind) for key, kind in kinds.items() if answer.get(key))


def _reason(answer: Mapping[str, Any], raw_state: str) -> str:
    message: str = answer.get("StateReason", {}).get("Message", "")
    return "" if message == raw_state else message
