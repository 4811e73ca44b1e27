"""Translates the `resource` section and the context of a machine into request bodies."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from occopus_core.api import CreateRequest, PermanentError
from occopus_resource_azure import tags, values
from occopus_resource_azure.steps import common
from occopus_resource_azure.tags import Thing

TYPE = "azure_vm"
USER_DATA_LIMIT = 65535
"""The limit of custom data, in bytes before the base64 encoding."""
_LARGEST_DISK = 4095
"""The largest boot disk, in GiB."""
_WINDOWS = re.compile(r"microsoftwindows|windows", re.IGNORECASE)
_WINDOWS_NAME, _LINUX_NAME = 15, 64
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_SYSTEM = ("system", "systemassigned")
_PRIORITIES = {"spot": "Spot", "low": "Low", "regular": "Regular"}
_IDENTITY = re.compile(r"/subscriptions/.+/userAssignedIdentities/[^/]+", re.IGNORECASE)


def check(request: CreateRequest) -> None:
    """Raises `PermanentError` for errors that can be found without a call to Azure."""
    resource = request.resource
    tags.check(request, TYPE)
    user_data(request)
    _computer_name(request)
    _identity(resource)
    _spot(resource)
    if "os_disk_size" in resource:
        values.whole(resource, "os_disk_size", 1, _LARGEST_DISK)
    for key in ("accelerated_networking", "boot_diagnostics", "public_ip_needed"):
        values.truth(resource, key)
    if resource.get("nic_name") and is_public(resource):
        raise PermanentError(
            "resource.public_ip_needed: with nic_name the address is that of the interface: give it one, leave this out"
        )
    for key in ("vnet_name", "nic_name"):
        if resource.get(key) and not resource.get("resource_group"):
            raise PermanentError(f"resource.{key} is looked for in resource.resource_group: give that, too")
    if resource.get("open_ports") and not is_public(resource):
        raise PermanentError("resource.open_ports is for machines with public_ip_needed")
    values.ports(resource, "open_ports", icmp=True)


def is_public(resource: Mapping[str, Any]) -> bool:
    """Whether the machine gets a public address of its own. Raises `PermanentError`."""
    return values.truth(resource, "public_ip_needed")


def user_data(request: CreateRequest) -> str | None:
    """Custom data in Azure's encoding. Raises `PermanentError` if there is too much."""
    given = request.resource.get("customdata")
    if given and request.context.user_data:
        raise PermanentError("resource.customdata: with a contextualisation section the machine is given that")
    content = str(request.context.user_data or given or "").encode()
    if len(content) > USER_DATA_LIMIT:
        source = "customdata" if given else "context_template"
        raise PermanentError(
            f"the {source} makes {len(content)} bytes of custom data, and Azure takes at most "
            f"{USER_DATA_LIMIT}: let the node download what is large"
        )
    return base64.b64encode(content).decode() if content else None


def nsg_body(request: CreateRequest) -> Thing:
    """The rules of a public address: without any, Azure blocks all traffic to it."""
    opened = values.ports(request.resource, "open_ports", icmp=True)
    return {
        **common(request, TYPE),
        "properties": {"securityRules": [_rule(each, 100 + n) for n, each in enumerate(opened)]},
    }


def _rule(opened: values.Ports, priority: int) -> Thing:
    properties = {
        "access": "Allow",
        "direction": "Inbound",
        "priority": priority,
        "protocol": opened.protocol,
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": opened.range,
    }
    return {"name": f"open-{priority}", "properties": properties}


def ip_body(request: CreateRequest) -> Thing:
    """A public address that does not change during the life of the instance."""
    properties = {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"}
    return {**common(request, TYPE), **_zones(request.resource), "sku": {"name": "Standard"}, "properties": properties}


def nic_body(request: CreateRequest, subnet_id: str, ip: Thing | None) -> Thing:
    """The interface; its public address is deleted with it."""
    address: Thing = {"privateIPAllocationMethod": "Dynamic", "primary": True, "subnet": {"id": subnet_id}}
    properties: Thing = {"ipConfigurations": [{"name": "primary", "properties": address}]}
    if ip is not None:
        address["publicIPAddress"] = {"id": ip["id"], "properties": {"deleteOption": "Delete"}}
        rules = re.sub("/publicIPAddresses/", "/networkSecurityGroups/", str(ip["id"]), flags=re.IGNORECASE)
        properties["networkSecurityGroup"] = {"id": rules}
    if "accelerated_networking" in request.resource:
        properties["enableAcceleratedNetworking"] = values.truth(request.resource, "accelerated_networking")
    return {**common(request, TYPE), "properties": properties}


def vm_body(request: CreateRequest, nic_id: str) -> Thing:
    """The machine; its disk, and an interface made for it, are deleted with it."""
    resource = request.resource
    interface = {"primary": True, "deleteOption": "Detach" if resource.get("nic_name") else "Delete"}
    diagnostics = values.truth(resource, "boot_diagnostics", default=True)
    return {
        **common(request, TYPE),
        **_zones(resource),
        **_identity(resource),
        "properties": {
            "hardwareProfile": {"vmSize": resource["vm_size"]},
            "storageProfile": {"imageReference": _image(resource), "osDisk": _os_disk(request)},
            "osProfile": _os_profile(request),
            "networkProfile": {"networkInterfaces": [{"id": nic_id, "properties": interface}]},
            "diagnosticsProfile": {"bootDiagnostics": {"enabled": diagnostics}},
            **_spot(resource),
        },
    }


def _zones(resource: Mapping[str, Any]) -> Thing:
    return {"zones": [str(resource["zone"])]} if resource.get("zone") else {}


def _image(resource: Mapping[str, Any]) -> Thing:
    if resource.get("image_id"):
        return {"id": resource["image_id"]}
    return {key: str(resource[key]) for key in ("publisher", "offer", "sku", "version")}


def _os_disk(request: CreateRequest) -> Thing:
    resource = request.resource
    disk: Thing = {"name": tags.name(request.token), "createOption": "FromImage", "deleteOption": "Delete"}
    if "os_disk_size" in resource:
        disk["diskSizeGB"] = values.whole(resource, "os_disk_size", 1, _LARGEST_DISK)
    if resource.get("os_disk_type"):
        disk["managedDisk"] = {"storageAccountType": resource["os_disk_type"]}
    return disk


def _os_profile(request: CreateRequest) -> Thing:
    resource = request.resource
    profile: Thing = {"computerName": _computer_name(request), "adminUsername": str(resource["username"])}
    if resource.get("password"):
        profile["adminPassword"] = str(resource["password"])
    if resource.get("ssh_key_data"):
        path = f"/home/{resource['username']}/.ssh/authorized_keys"
        key = {"path": path, "keyData": str(resource["ssh_key_data"]).strip()}
        profile["linuxConfiguration"] = {
            "disablePasswordAuthentication": not resource.get("password"),
            "ssh": {"publicKeys": [key]},
        }
    if data := user_data(request):
        profile["customData"] = data
    return profile


def _computer_name(request: CreateRequest) -> str:
    """The host name: `server_name`, or the token; on Windows the end of the token. Raises `PermanentError`."""
    resource = request.resource
    windows = bool(_WINDOWS.search(f"{resource.get('publisher', '')}/{resource.get('offer', '')}"))
    longest = _WINDOWS_NAME if windows else _LINUX_NAME
    if not resource.get("server_name"):
        name = tags.name(request.token)
        return name if len(name) <= longest else f"o{re.sub('-', '', name)[1 - longest :]}"
    wanted = str(resource["server_name"])
    if len(wanted) > longest or not _HOST.fullmatch(wanted):
        kind = "Windows" if windows else "Linux"
        raise PermanentError(
            f"resource.server_name: a host name on {kind} has 1 to {longest} letters, digits, hyphens, not '{wanted}'"
        )
    return wanted


def _identity(resource: Mapping[str, Any]) -> Thing:
    """A managed identity: one that Azure makes for this machine, or existing ones. Raises `PermanentError`."""
    wanted = resource.get("identity")
    if not wanted:
        return {}
    each = [str(one) for one in ([wanted] if isinstance(wanted, str) else wanted)]
    system = any(one.lower() in _SYSTEM for one in each)
    users = [one for one in each if one.lower() not in _SYSTEM]
    for one in users:
        if not _IDENTITY.fullmatch(one):
            raise PermanentError(f"resource.identity: '{one}' is neither 'system' nor the id of a managed identity")
    kinds = [*(["SystemAssigned"] if system else []), *(["UserAssigned"] if users else [])]
    found: Thing = {"type": ", ".join(kinds)}
    if users:
        found["userAssignedIdentities"] = {one: {} for one in users}
    return {"identity": found}


def _spot(resource: Mapping[str, Any]) -> Thing:
    """Spot capacity: if Azure takes it back, the machine is deleted and replaced. Raises `PermanentError`."""
    wanted = resource.get("spot")
    if not isinstance(wanted, Mapping):
        wanted = {"priority": "Spot" if values.truth(resource, "spot") else "Regular"}
    priority = _PRIORITIES.get(str(wanted.get("priority", "Spot")).lower())
    if priority is None:
        raise PermanentError(f"resource.spot.priority must be Spot, Low or Regular, not '{wanted['priority']}'")
    if priority == "Regular":
        return {}
    price = -1.0 if str(wanted.get("max_price", -1)) in ("-1", "-1.0") else values.number(wanted, "max_price")
    return {"priority": priority, "evictionPolicy": "Delete", "billingProfile": {"maxPrice": price}}
