"""Microsoft.Network: network interfaces."""

from __future__ import annotations

import secrets
from typing import ClassVar

from occopus_resource_azure.testing.account import Resource
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.network import NetworkKind, PublicAddresses
from occopus_resource_azure.testing.vnet import SUBNETS, free_address
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError, Request


class Interfaces(NetworkKind):
    """Microsoft.Network/networkInterfaces."""

    type: ClassVar[str] = "Microsoft.Network/networkInterfaces"
    noun: ClassVar[str] = "NetworkInterface"

    def put(self, request: Request) -> Answer:
        """PUT: takes effect at once, without an operation."""
        body, existing = self.began(request)
        region = self.region(body, existing, request.target.names[-1])
        given = dict(body.get("properties") or {})
        wanted = given.get("ipConfigurations")
        if not wanted:
            message = f"Network Interface {request.target.id} must have at least one IP configuration."
            raise RefusedError(400, "NetworkInterfaceMustHaveAtLeastOneIpConfiguration", message, details=[])
        if existing is not None and existing.deleting:
            self.check_idle(existing)
        if given.get("networkSecurityGroup"):
            id = given["networkSecurityGroup"]["id"]
            self.referred(request, id, "Microsoft.Network/networkSecurityGroups", region)
        old = {each["name"]: each for each in existing.properties["ipConfigurations"]} if existing else {}
        given["ipConfigurations"] = [
            self._configuration(request, region, each, old.get(each["name"]), number == 0)
            for number, each in enumerate(wanted)
        ]
        tags = self.account.tags(body)
        new: Json = {"location": region, **({} if tags is None else {"tags": tags})}
        new["properties"] = {**self._defaults(), **given}
        if existing is not None:
            kept = ("resourceGuid", "macAddress", "primary", "virtualMachine", "dnsSettings")
            new["properties"].update({key: existing.properties[key] for key in kept if key in existing.properties})
        nic = self.kept(request, existing, new)
        self.settled(nic, "Succeeded")
        return Answer(201 if existing is None else 200, self.render(nic))

    @staticmethod
    def _defaults() -> Json:
        suffix = f"{secrets.token_hex(13)}.xx.internal.cloudapp.net"
        return {
            "dnsSettings": {"dnsServers": [], "appliedDnsServers": [], "internalDomainNameSuffix": suffix},
            "enableAcceleratedNetworking": False,
            "vnetEncryptionSupported": False,
            "enableIPForwarding": False,
            "hostedWorkloads": [],
            "tapConfigurations": [],
            "nicType": "Standard",
        }

    def _configuration(self, request: Request, region: str, given: Json, old: Json | None, first: bool) -> Json:
        properties = dict(given.get("properties") or {})
        subnet = self.referred(request, (properties.get("subnet") or {}).get("id", ""), SUBNETS, region)
        public = properties.get("publicIPAddress")
        if public:
            address = self.referred(request, public["id"], "Microsoft.Network/publicIPAddresses", region)
            self._check_public(request, address)
        method = properties.get("privateIPAllocationMethod", "Dynamic")
        same = old and old["properties"]["subnet"]["id"].lower() == subnet.key
        kept = old["properties"]["privateIPAddress"] if old and same and method == "Dynamic" else None
        wanted = properties.get("privateIPAddress") if method == "Static" else None
        return {
            "name": given["name"],
            "id": f"{request.target.id}/ipConfigurations/{given['name']}",
            "properties": {
                "privateIPAllocationMethod": method,
                "primary": first,
                "privateIPAddressVersion": "IPv4",
                **properties,
                "privateIPAddress": kept or free_address(self, subnet, wanted, request.target.id),
            },
        }

    def _check_public(self, request: Request, address: Resource) -> None:
        used = [each["id"] for each in self.users(address, "publicIPAddress")]
        others = [each for each in used if not each.lower().startswith(f"{request.target.id.lower()}/")]
        if others:
            message = (
                f"Resource {request.target.id} is referencing public IP address {address.id} that is already allocated "
                f"to resource {others[0]}."
            )
            raise RefusedError(400, "PublicIPAddressInUse", message, details=[])

    def render(self, resource: Resource, expand: str = "") -> Json:
        """The NIC; its IP configurations have its etag and state."""
        made = super().render(resource, expand)
        made["properties"]["ipConfigurations"] = [
            {
                **each,
                "etag": made["etag"],
                "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
                "properties": {"provisioningState": resource.state, **each["properties"]},
            }
            for each in resource.properties["ipConfigurations"]
        ]
        return made

    def check_unused(self, resource: Resource) -> None:
        """Raises `RefusedError` for a NIC in use: until its VM is deleted, or while it is reserved for a failed VM."""
        machine = resource.properties.get("virtualMachine")
        if machine:
            message = (
                f"Network Interface {resource.id} is used by existing resource {machine['id']}. In order to delete the "
                "network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic."
            )
            raise RefusedError(400, "NicInUse", message, details=[])
        reserved, until = resource.hidden.get("reserved", ("", 0.0))
        if until > self.account.now():
            message = (
                f"Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another "
                f"nic(s) or retry after 180 seconds. Reserved VM: {reserved}"
            )
            raise RefusedError(400, "NicReservedForAnotherVm", message, details=[])

    def remove(self, resource: Resource, seconds: float, fault: Fault | None = None) -> None:
        """Delete a NIC, then a public address whose deleteOption says so."""
        super().remove(resource, seconds, fault)
        if resource.operation is not None:
            resource.operation.finish = lambda: self._gone(resource)

    def _gone(self, resource: Resource) -> None:
        self.account.drop(resource.id)
        for each in resource.properties["ipConfigurations"]:
            public = each["properties"].get("publicIPAddress") or {}
            if (public.get("properties") or {}).get("deleteOption") == "Delete":
                address = self.account.find(public["id"])
                if address is not None and not address.deleting:
                    PublicAddresses(self.account, self.base).remove(address, self.account.times["cascade"])
