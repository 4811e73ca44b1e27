"""Translates the parts of an instance from the terms of OpenStack to those of the core."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState, Owner
from occopus_resource_nova.cloud import Thing
from occopus_resource_nova.errors import is_no_room
from occopus_resource_nova.marks import described, rank, written

STATES: Mapping[str, InstanceState] = {
    "ACTIVE": InstanceState.READY,
    "PASSWORD": InstanceState.READY,
    "MIGRATING": InstanceState.READY,
    "VERIFY_RESIZE": InstanceState.READY,
    "BUILD": InstanceState.PENDING,
    "REBUILD": InstanceState.PENDING,
    "REBOOT": InstanceState.PENDING,
    "HARD_REBOOT": InstanceState.PENDING,
    "RESIZE": InstanceState.PENDING,
    "REVERT_RESIZE": InstanceState.PENDING,
    "SHUTOFF": InstanceState.STOPPED,
    "PAUSED": InstanceState.STOPPED,
    "SUSPENDED": InstanceState.STOPPED,
    "RESCUE": InstanceState.STOPPED,
    "SHELVED": InstanceState.STOPPED,
    "SHELVED_OFFLOADED": InstanceState.STOPPED,
    "ERROR": InstanceState.FAILED,
    "DELETED": InstanceState.ABSENT,
    "SOFT_DELETED": InstanceState.ABSENT,
}
_TASK = "OS-EXT-STS:task_state"
_LAUNCHED = "OS-SRV-USG:launched_at"
_KIND = "OS-EXT-IPS:type"


@dataclass(slots=True)
class Parts:
    """Everything that one token has made."""

    servers: list[Thing] = field(default_factory=list)
    volumes: list[Thing] = field(default_factory=list)
    floating_ips: list[Thing] = field(default_factory=list)

    @property
    def server(self) -> Thing | None:
        """The server that counts."""
        return max(self.servers, key=rank, default=None)

    @property
    def volume(self) -> Thing | None:
        """The volume that counts."""
        return max(self.volumes, key=rank, default=None)


def instance(token: str, parts: Parts) -> Instance:
    """The instance of these parts. Its id is its token, which all parts carry from the start."""
    server, volume = parts.server, parts.volume
    if server is not None:
        return _of_server(token, server)
    if volume is not None:
        return _of_volume(token, volume)
    if parts.floating_ips:
        owner, _ = described(parts.floating_ips[0]["description"])
        return _made(token, owner, InstanceState.FAILED, "", "the server is gone, its floating IP is left")
    return Instance(InstanceId(token), InstanceState.ABSENT)


def no_room(server: Thing) -> str:
    """Why no host accepted the server; empty otherwise. A server that ran had a host."""
    message = fault(server)
    return message if server["status"] == "ERROR" and not ran(server) and is_no_room(message) else ""


def ran(server: Thing) -> bool:
    """Whether the server has ever run."""
    return bool(server.get(_LAUNCHED))


def fault(server: Thing) -> str:
    """The error that Nova reports for a failed server."""
    return str((server.get("fault") or {}).get("message", "")).strip()


def has_floating_ip(server: Thing) -> bool:
    """True if Nova knows a floating IP of the server."""
    return any(address.get(_KIND) == "floating" for address in _all_addresses(server))


def _of_server(token: str, server: Thing) -> Instance:
    status = server["status"]
    owner, _ = written(server["metadata"])
    state = STATES.get(status, InstanceState.UNKNOWN)
    if server.get(_TASK) == "deleting":
        state = InstanceState.DELETING
    elif no_room(server):
        state = InstanceState.PROVISIONING  # the next `create` reports why
    reason = "" if state is InstanceState.READY else fault(server)
    return Instance(InstanceId(token), state, addresses(server), token, owner, status, reason)


def _of_volume(token: str, volume: Thing) -> Instance:
    owner, _ = written(volume["metadata"])
    status = volume["status"]
    if status == "deleting":
        return _made(token, owner, InstanceState.DELETING, status, "its volume is being deleted")
    if status.startswith("error"):
        return _made(token, owner, InstanceState.FAILED, status, "Cinder could not make its volume")
    if status == "in-use":
        return _made(token, owner, InstanceState.FAILED, status, f"its server is gone, {in_use(volume)}")
    return _made(token, owner, InstanceState.PROVISIONING, status, "its volume is being made")


def in_use(volume: Thing) -> str:
    """The user of the volume, for messages."""
    return f"its volume {volume['id']} is in use by {' and '.join(users(volume)) or 'an unknown user'}"


def users(volume: Thing) -> list[str]:
    """The ids of the servers that a volume is attached to."""
    return [each["server_id"] for each in volume.get("attachments") or () if each.get("server_id")]


def _made(token: str, owner: Owner | None, state: InstanceState, raw: str, reason: str) -> Instance:
    return Instance(InstanceId(token), state, (), token, owner, raw, reason)


def addresses(server: Thing) -> tuple[Address, ...]:
    """Floating addresses first, then those of the networks; IPv4 first in each group."""
    found = sorted(_all_addresses(server), key=lambda each: (each.get(_KIND) != "floating", each.get("version", 4)))
    return tuple(Address(each["addr"], _kind(each)) for each in found)


def _all_addresses(server: Thing) -> Iterator[Thing]:
    return (address for network in (server.get("addresses") or {}).values() for address in network)


def _kind(address: Thing) -> AddressKind:
    if address.get(_KIND) == "floating":
        return AddressKind.PUBLIC
    return AddressKind.PRIVATE if ipaddress.ip_address(address["addr"]).is_private else AddressKind.PUBLIC
