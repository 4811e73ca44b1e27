"""A container as an engine lists it, in the words of the contract."""

from __future__ import annotations

import ipaddress
import re
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState
from occopus_resource_docker.labels import NETWORK, TOKEN, written

_STATES: Mapping[str, InstanceState] = {
    "configured": InstanceState.PROVISIONING,
    "created": InstanceState.PROVISIONING,
    "initialized": InstanceState.PENDING,
    "restarting": InstanceState.PENDING,
    "running": InstanceState.READY,
    "paused": InstanceState.STOPPED,
    "stopping": InstanceState.STOPPED,
    "stopped": InstanceState.STOPPED,
    "exited": InstanceState.STOPPED,
    "removing": InstanceState.DELETING,
    "dead": InstanceState.FAILED,
}
"""Of Docker, and of Podman, which has some more."""
_EXIT = re.compile(r"(Exited|Restarting) \((\d+)\)")
_EXITED = "it exited with code {}"
_KILLED = frozenset(map(_EXITED.format, (128 + signal.SIGKILL, 128 + signal.SIGTERM)))
_REASONS = {
    "created": "it is to be started",
    "paused": "it is paused",
    "dead": "the engine could remove it in part only",
}


def instance(listed: Mapping[str, Any], host: str) -> Instance:
    """One element of a list of containers; `host` is the address of the engine's own machine."""
    labels = listed.get("Labels") or {}
    raw_state = str(listed.get("State", "")).lower()
    state = _STATES.get(raw_state, InstanceState.UNKNOWN)
    token = labels.get(TOKEN, "")
    return Instance(
        id=InstanceId(token),
        state=state,
        addresses=_addresses(listed, labels, host),
        token=token,
        owner=written(labels),
        raw_state=raw_state,
        reason="" if state is InstanceState.READY else _reason(raw_state, str(listed.get("Status", ""))),
    )


def was_killed(instance: Instance) -> bool:
    """Whether it did not end by itself: so ends what runs when its engine ends."""
    return instance.state is InstanceState.STOPPED and instance.reason in _KILLED


def _addresses(listed: Mapping[str, Any], labels: Mapping[str, str], host: str) -> tuple[Address, ...]:
    """IPv4 before IPv6; on the network of the engine's machine, which an engine does not tell, the address of that."""
    if labels.get(NETWORK) == "host":
        return (Address(host, _kind(host)),)
    found = sorted(_of_networks(listed), key=lambda address: ":" in address)
    return tuple(Address(address, _kind(address)) for address in found)


def _of_networks(listed: Mapping[str, Any]) -> Iterator[str]:
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    for network in networks.values():
        for key in ("IPAddress", "GlobalIPv6Address"):
            if network.get(key):
                yield network[key]


def _kind(address: str) -> AddressKind:
    try:
        private = ipaddress.ip_address(address).is_private
    except ValueError:  # a host name
        private = False
    return AddressKind.PRIVATE if private else AddressKind.PUBLIC


def _reason(raw_state: str, status: str) -> str:
    exited = _EXIT.match(status)
    if exited:
        again = ", and is restarted" if exited[1] == "Restarting" else ""
        return _EXITED.format(exited[2]) + again
    return _REASONS.get(raw_state, "")
