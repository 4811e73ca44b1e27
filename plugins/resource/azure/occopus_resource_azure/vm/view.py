"""Translates machines and their parts from the terms of Azure to those of the core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState, Owner
from occopus_resource_azure import tags
from occopus_resource_azure.errors import is_no_room, line
from occopus_resource_azure.tags import Thing

_POWER: Mapping[str, InstanceState] = {
    "starting": InstanceState.PENDING,
    "running": InstanceState.READY,
    "stopping": InstanceState.READY,  # its system still runs, and completes its shutdown
    "stopped": InstanceState.STOPPED,
    "deallocating": InstanceState.STOPPED,
    "deallocated": InstanceState.STOPPED,
}
_PROVISIONING: Mapping[str, InstanceState] = {
    "creating": InstanceState.PENDING,
    "deleting": InstanceState.DELETING,
    "failed": InstanceState.FAILED,
    "canceled": InstanceState.FAILED,
}
"""States that alone mean PROVISIONING. In the others, Succeeded and Updating, the power state decides."""
_FAILED = "ProvisioningState/failed/"


@dataclass(slots=True)
class Parts:
    """Everything that one token has made."""

    vms: list[Thing] = field(default_factory=list)
    nics: list[Thing] = field(default_factory=list)
    ips: list[Thing] = field(default_factory=list)
    nsgs: list[Thing] = field(default_factory=list)
    vnets: list[Thing] = field(default_factory=list)
    disks: list[Thing] = field(default_factory=list)
    groups: list[Thing] = field(default_factory=list)

    @property
    def vm(self) -> Thing | None:
        """The machine."""
        return next(iter(self.vms), None)

    def helpers(self) -> Iterator[Thing]:
        """All parts except the machine."""
        for things in (self.nics, self.ips, self.nsgs, self.vnets, self.disks, self.groups):
            yield from things

    def whose(self) -> Owner | None:
        """The owner in the tags of any part."""
        found = (tags.owner(thing) for thing in (*self.vms, *self.helpers()))
        return next((owner for owner in found if owner is not None), None)


@dataclass(frozen=True, slots=True)
class Network:
    """The interfaces and public addresses of a place, by id in lower case: a machine may use one of the user's."""

    nics: Mapping[str, Thing]
    ips: Mapping[str, Thing]


def instance(token: str, parts: Parts, network: Network) -> Instance:
    """The instance of these parts. Its id is its token, which all parts carry from the start."""
    if parts.vm is not None:
        return _of_vm(token, parts, parts.vm, network)
    helpers = list(parts.helpers())
    if not helpers:
        return Instance(InstanceId(token), InstanceState.ABSENT)
    if any(tags.stage(thing) == tags.MADE for thing in helpers) or parts.disks:
        state, reason = InstanceState.FAILED, "its virtual machine is gone, parts of it are left"
    else:
        state, reason = InstanceState.PROVISIONING, "its network is being made"
    return Instance(InstanceId(token), state, (), token, parts.whose(), "", reason)


def _of_vm(token: str, parts: Parts, vm: Thing, network: Network) -> Instance:
    provisioning, power = _provisioning(vm), _power(vm)
    state = _PROVISIONING.get(provisioning.lower())
    if state is None:
        state = _POWER.get(power, InstanceState.UNKNOWN)
    addresses = tuple(_addresses(vm, network))
    reason = ""
    if no_room(vm):
        state, reason = InstanceState.PROVISIONING, no_room(vm)  # the next `create` raises it
    elif state is InstanceState.FAILED:
        reason = failure(vm)
    elif state is InstanceState.READY and not addresses:
        state, reason = InstanceState.PENDING, "it runs, and has no address yet"
    raw_state = f"{provisioning}/{power}" if power else provisioning
    return Instance(InstanceId(token), state, addresses, token, parts.whose(), raw_state, reason)


def statuses(vm: Thing) -> list[Mapping[str, Any]]:
    """The statuses in the instance view; empty without a view."""
    found = (vm["properties"].get("instanceView") or {}).get("statuses")
    return [each for each in found or () if isinstance(each, Mapping)]


def no_room(vm: Thing) -> str:
    """Why Azure had no capacity for a machine that it accepted; empty otherwise. A machine that ran had capacity."""
    if _provisioning(vm).lower() != "failed" or _power(vm):
        return ""
    message = failure(vm)
    return message if is_no_room([_code(vm)], message) else ""


def failure(vm: Thing) -> str:
    """The error of a machine whose creation or latest change failed."""
    for status in statuses(vm):
        if str(status.get("code", "")).lower().startswith(_FAILED.lower()):
            return ": ".join(
                filter(None, (_code(vm), line(status.get("message") or status.get("displayStatus") or "")))
            )
    return f"Azure says {_provisioning(vm)}"


def _code(vm: Thing) -> str:
    for status in statuses(vm):
        code = str(status.get("code", ""))
        if code.lower().startswith(_FAILED.lower()):
            return code[len(_FAILED) :]
    return ""


def _provisioning(vm: Thing) -> str:
    return str(vm["properties"].get("provisioningState", ""))


def _power(vm: Thing) -> str:
    codes = (str(status.get("code", "")) for status in statuses(vm))
    return next((code.partition("/")[2].lower() for code in codes if code.lower().startswith("powerstate/")), "")


def nic_ids(vm: Thing) -> list[str]:
    """The ids of the machine's interfaces, in lower case; the primary one comes first."""
    profile = vm["properties"].get("networkProfile") or {}
    interfaces = profile.get("networkInterfaces") or []
    ordered = sorted(interfaces, key=lambda each: not (each.get("properties") or {}).get("primary", False))
    return [str(each["id"]).lower() for each in ordered if "id" in each]


def _addresses(vm: Thing, network: Network) -> Iterator[Address]:
    """Public addresses first."""
    found = [network.nics[id] for id in nic_ids(vm) if id in network.nics]
    configurations = [each["properties"] for nic in found for each in nic["properties"].get("ipConfigurations") or ()]
    for each in configurations:
        ip = network.ips.get(str((each.get("publicIPAddress") or {}).get("id", "")).lower())
        if ip is not None and ip["properties"].get("ipAddress"):
            yield Address(ip["properties"]["ipAddress"], AddressKind.PUBLIC)
    for each in configurations:
        if each.get("privateIPAddress"):
            yield Address(each["privateIPAddress"], AddressKind.PRIVATE)
