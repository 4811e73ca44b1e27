"""Translates drives and servers from the terms of CloudSigma to those of the contract."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState
from occopus_resource_cloudsigma.marks import Thing, is_used, owner_of, rank

RUNNING = ("running", "started", "running_legacy")
"""States of a running server; error messages and older answers use the second and third word."""
STOPPED = "stopped"
STOPPING = "stopping"
READY_DRIVE = "unmounted"

BUSY = ("creating", "cloning_dst", "cloning_src", "copying", "uploading", "resizing")
"""States of a drive that is being made or changed."""

STATES: Mapping[str, InstanceState] = {
    **dict.fromkeys(RUNNING, InstanceState.READY),
    # A server that is being shut down runs until it is stopped, and keeps running if it ignores the signal.
    STOPPING: InstanceState.READY,
    "starting": InstanceState.PENDING,
    "creating": InstanceState.PENDING,
    "unavailable": InstanceState.PENDING,
    STOPPED: InstanceState.STOPPED,
    "paused": InstanceState.STOPPED,
    "deleting": InstanceState.DELETING,
}
_REASONS: Mapping[str, str] = {
    "unavailable": "CloudSigma says that the server is unavailable",
    "starting": "the server is starting",
}


@dataclass(slots=True)
class Parts:
    """Everything that one token has made."""

    servers: list[Thing] = field(default_factory=list)
    drives: list[Thing] = field(default_factory=list)

    @property
    def server(self) -> Thing | None:
        """The server that counts."""
        return max(self.servers, key=rank, default=None)

    @property
    def drive(self) -> Thing | None:
        """The drive that counts: that of the server; without a server the one with the highest rank."""
        server = self.server
        attached = mounted(server) if server is not None else ()
        return max(self.drives, key=lambda drive: (drive["uuid"] in attached, rank(drive)), default=None)

    @property
    def is_busy(self) -> bool:
        """True while the drive is being cloned or resized, so that no server can have been made with it."""
        drive = self.drive
        return drive is not None and drive.get("status") in BUSY and not any(map(users, self.drives))


def instance(token: str, parts: Parts) -> Instance:
    """The instance of these parts. Its id is its token, which all parts carry from the start."""
    server, drive = parts.server, parts.drive
    if server is not None:
        return _of_server(token, server)
    if drive is not None:
        return _of_drive(token, drive)
    return Instance(InstanceId(token), InstanceState.ABSENT)


def mounted(server: Thing) -> list[str]:
    """The ids of a server's drives."""
    return [identity for each in server.get("drives") or () if (identity := _identity(each.get("drive")))]


def users(drive: Thing) -> list[str]:
    """The ids of the servers that a drive is attached to."""
    return [identity for each in drive.get("mounted_on") or () if (identity := _identity(each))]


def _of_server(token: str, server: Thing) -> Instance:
    status = str(server.get("status"))
    state = STATES.get(status, InstanceState.UNKNOWN)
    found, reason = addresses(server), _REASONS.get(status, "")
    if status in RUNNING and not found and _expects_address(server):
        state, reason = InstanceState.PENDING, "the server runs and has no address yet"
    return Instance(InstanceId(token), state, found, token, owner_of(server), status, reason)


def _of_drive(token: str, drive: Thing) -> Instance:
    status = str(drive.get("status"))
    state, reason = _fate(drive, status)
    return Instance(InstanceId(token), state, (), token, owner_of(drive), status, reason)


def _fate(drive: Thing, status: str) -> tuple[InstanceState, str]:
    """State and reason of an instance with only a drive."""
    if status in BUSY:
        doing = "resized" if status == "resizing" else "cloned"
        return InstanceState.PROVISIONING, f"its drive is being {doing}"
    if status == "unavailable":
        return InstanceState.FAILED, "CloudSigma says that its drive is unavailable"
    if users(drive):
        return InstanceState.PENDING, "its drive is attached to a server that is not listed"
    if status != READY_DRIVE:
        return InstanceState.UNKNOWN, f"its drive is {status}"
    if is_used(drive):
        return InstanceState.FAILED, "its server is gone, its drive is left"
    return InstanceState.PROVISIONING, "its drive is ready, its server is not made yet"


def addresses(server: Thing) -> tuple[Address, ...]:
    """The addresses of a running server: public before private ones, IPv4 before IPv6. An IP's id is the address."""
    found = {address.value: address for nic in _interfaces(server) for address in _of_interface(nic)}
    return tuple(sorted(found.values(), key=lambda one: (one.kind is not AddressKind.PUBLIC, ":" in one.value)))


def _interfaces(server: Thing) -> Iterator[Thing]:
    """The run-time data of each network interface; CloudSigma shows it in two places."""
    for nic in server.get("nics") or ():
        if nic.get("runtime"):
            yield nic["runtime"]
    yield from (server.get("runtime") or {}).get("nics") or ()


def _of_interface(runtime: Thing) -> Iterator[Address]:
    public = runtime.get("interface_type") != "private"
    for version in ("ip_v4", "ip_v6"):
        value = _identity(runtime.get(version))
        if value and _is_address(value):
            yield Address(value, AddressKind.PUBLIC if public else AddressKind.PRIVATE)


def _expects_address(server: Thing) -> bool:
    """Whether CloudSigma assigns the address of the server: in a VLAN the user's own network does."""
    return any(
        (nic.get(version) or {}).get("conf") in ("dhcp", "static")
        for nic in server.get("nics") or ()
        for version in ("ip_v4_conf", "ip_v6_conf")
    )


def _identity(reference: object) -> str:
    """The id in a reference, which is a mapping or the id itself."""
    found = reference.get("uuid") if isinstance(reference, dict) else reference
    return found if isinstance(found, str) else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
