"""Microsoft.Network: virtual networks with their subnets."""

from __future__ import annotations

import copy
import ipaddress
from typing import ClassVar

from occopus_resource_azure.testing.account import Resource
from occopus_resource_azure.testing.network import NetworkKind
from occopus_resource_azure.testing.wire import Answer, Json, Path, RefusedError, Request

SUBNETS = "Microsoft.Network/virtualNetworks/subnets"
ACI = "Microsoft.ContainerInstance/containerGroups"
_RESERVED = 4
"""Azure reserves the first four addresses of a subnet and the last one."""


class VirtualNetworks(NetworkKind):
    """Microsoft.Network/virtualNetworks."""

    type: ClassVar[str] = "Microsoft.Network/virtualNetworks"
    noun: ClassVar[str] = "VirtualNetwork"
    put_retry: ClassVar[str] = "3"

    def put(self, request: Request) -> Answer:
        """PUT: replaces its subnets with those of the body."""
        body, existing = self.began(request)
        region = self.region(body, existing, request.target.names[-1])
        given = dict(body.get("properties") or {})
        subnets = given.pop("subnets", None) or []
        prefixes = (given.get("addressSpace") or {}).get("addressPrefixes")
        if not prefixes:
            message = "Address space of the virtual network is empty."
            raise RefusedError(400, "InvalidRequestFormat", message, details=[])
        if existing is not None:
            self.check_idle(existing)
            self._drop_others(existing, {each["name"].lower() for each in subnets})
        tags = self.account.tags(body)
        kept = {"resourceGuid": existing.properties["resourceGuid"]} if existing else {}
        new: Json = {"location": region, **({} if tags is None else {"tags": tags})}
        new["properties"] = {
            "privateEndpointVNetPolicies": "Disabled",
            "virtualNetworkPeerings": [],
            "enableDdosProtection": False,
            **{name: value for name, value in given.items() if name not in ("provisioningState", "resourceGuid")},
            **kept,
        }
        if "dhcpOptions" in new["properties"]:
            new["properties"]["dhcpOptions"] = {"dnsServers": [], **new["properties"]["dhcpOptions"]}
        before = self.look(existing)
        network = self.kept(request, existing, new)
        children = Subnets(self.account, self.base)
        made = [children.kept_in(network, each["name"], each.get("properties") or {}) for each in subnets]
        answer = self.begun(request, network, before)
        for each in made:
            each.state, each.operation = network.state, network.operation
        return Answer(answer.status, self.render(network), answer.headers)

    def look(self, resource: Resource | None) -> Json | None:
        """Its properties and subnets, to detect whether a PUT changes them."""
        own = super().look(resource)
        if own is None or resource is None:
            return None
        return {**own, "subnets": {each.name: copy.deepcopy(each.properties) for each in self._subnets(resource)}}

    def finished(self, resource: Resource) -> None:
        """Finish its subnets with it."""
        super().finished(resource)
        children = Subnets(self.account, self.base)
        for subnet in self._subnets(resource):
            if not subnet.deleting:
                children.settled(subnet, "Succeeded")

    def _subnets(self, network: Resource) -> list[Resource]:
        return [each for each in self.account.children(network.id) if each.type == SUBNETS]

    def _drop_others(self, network: Resource, names: set[str]) -> None:
        gone = [each for each in self._subnets(network) if each.name.lower() not in names]
        children = Subnets(self.account, self.base)
        for each in gone:
            children.check_unused(each)
        for each in gone:
            self.account.drop(each.id)

    def live(self, resource: Resource) -> Json:
        """Its subnets."""
        children = Subnets(self.account, self.base)
        return {"subnets": [children.render(each) for each in self._subnets(resource)]}

    def check_unused(self, resource: Resource) -> None:
        """Raises `RefusedError` while one of its subnets is in use."""
        for subnet in self._subnets(resource):
            Subnets(self.account, self.base).check_unused(subnet)


class Subnets(NetworkKind):
    """Microsoft.Network/virtualNetworks/subnets."""

    type: ClassVar[str] = SUBNETS
    noun: ClassVar[str] = "Subnet"
    put_retry: ClassVar[str] = "3"

    def network(self, target: Path) -> Resource:
        """The network of a subnet. Raises `RefusedError`."""
        self.account.group(target.group)
        found = self.account.find(target.parent.id)
        if found is None:
            raise self.account.absent(target.parent)
        return found

    def put(self, request: Request) -> Answer:
        """PUT: one operation at a time for each network."""
        network = self.network(request.target)
        body, existing = self.began(request)
        self.check_idle(network)
        before = self.look(existing)
        subnet = self.kept_in(network, request.target.names[-1], body.get("properties") or {})
        answer = self.begun(request, subnet, before)
        network.operation, network.state = subnet.operation, subnet.state
        return answer

    def finished(self, resource: Resource) -> None:
        """Finish the network with it."""
        self.settled(resource, "Succeeded")
        network = self.account.resources[resource.key.rpartition("/subnets/")[0]]
        VirtualNetworks(self.account, self.base).settled(network, "Succeeded")

    def kept_in(self, network: Resource, name: str, given: Json) -> Resource:
        """Add a subnet to a network, or change its properties. Raises `RefusedError`."""
        self._check_prefix(network, name, given)
        properties = {
            "delegations": [],
            "privateEndpointNetworkPolicies": "Disabled",
            "privateLinkServiceNetworkPolicies": "Enabled",
            **{key: value for key, value in given.items() if key not in ("provisioningState", "ipConfigurations")},
        }
        id = f"{network.id}/subnets/{name}"
        properties["delegations"] = [_delegation(id, each) for each in properties["delegations"]]
        subnet = self.account.find(id)
        if subnet is None:
            subnet = self.account.add(Resource(id, SUBNETS, name, network.group, {}))
        subnet.body = {"properties": properties}
        self.touch(subnet)
        return subnet

    def _check_prefix(self, network: Resource, name: str, given: Json) -> None:
        text = given.get("addressPrefix") or next(iter(given.get("addressPrefixes") or []), None)
        if not text:
            message = f"Address prefix is missing for subnet {name}."
            raise RefusedError(400, "InvalidRequestFormat", message, details=[])
        prefix = ipaddress.ip_network(text)
        space = network.properties["addressSpace"]["addressPrefixes"]
        if not any(prefix.subnet_of(each) for each in map(ipaddress.ip_network, space)):  # type: ignore[arg-type]
            message = (
                f"Subnet '{name}' is not valid because its IP address range is outside the IP address range of virtual "
                f"network '{network.name}'."
            )
            raise RefusedError(400, "NetcfgSubnetRangeOutsideVnet", message, details=[])
        for other in self.account.children(network.id):
            another = other.type == SUBNETS and other.name.lower() != name.lower()
            if another and prefix.overlaps(ipaddress.ip_network(prefix_of(other))):
                message = (
                    f"Subnet '{name}' is not valid because its IP address range overlaps with that of an existing "
                    f"subnet in virtual network '{network.name}'."
                )
                raise RefusedError(400, "NetcfgSubnetRangesOverlap", message, details=[])

    def touch(self, resource: Resource) -> None:
        """Set a new etag; a subnet has no GUID."""
        resource.hidden["etag"] = f'W/"{self.account.guid()}"'

    def render(self, resource: Resource, expand: str = "") -> Json:
        """The subnet, whose delegations have its etag."""
        made = super().render(resource, expand)
        delegations = made["properties"]["delegations"]
        made["properties"]["delegations"] = [{**each, "etag": made["etag"]} for each in delegations]
        return made

    def live(self, resource: Resource) -> Json:
        """The IP configurations in it, with ids in upper case."""
        made: Json = {}
        used = [each["id"] for each in self.users(resource, "subnet")]
        if used:
            made["ipConfigurations"] = [{"id": _in_capitals(each)} for each in used]
        return made

    def listed(self, request: Request) -> Answer:
        """The subnets of one network."""
        network = self.network(request.target)
        found = [self.render(each) for each in self.account.children(network.id) if each.type == SUBNETS]
        return Answer(200, {"value": found})

    def get(self, request: Request) -> Answer:
        """GET of one subnet."""
        self.network(request.target)
        return super().get(request)

    def missing(self, target: Path) -> RefusedError:
        """The answer for a missing subnet: it comes from Microsoft.Network, since ARM knows only the network."""
        return RefusedError(404, "NotFound", f"Resource {target.id} not found.", details=[])

    def delete(self, request: Request) -> Answer:
        """DELETE of one subnet."""
        network = self.network(request.target)
        if self.account.find(request.target.id) is None:
            return Answer(204)
        self.check_idle(network)
        return super().delete(request)

    def check_unused(self, resource: Resource) -> None:
        """Raises `RefusedError` while a NIC or a container group is in the subnet."""
        used = [each["id"] for each in self.users(resource, "subnet")]
        for group in self.account.of_type(ACI):
            used += [
                f"{group.id}/serviceAssociationLinks/acisal"
                for each in group.properties.get("subnetIds") or []
                if each["id"].lower() == resource.key
            ]
        if used:
            message = (
                f"Subnet {resource.name} is in use by {used[0]} and cannot be deleted. In order to delete the subnet, "
                "delete all the resources within the subnet. See aka.ms/deletesubnet."
            )
            raise RefusedError(400, "InUseSubnetCannotBeDeleted", message, details=[])


def prefix_of(subnet: Resource) -> str:
    """The address range of a subnet."""
    properties = subnet.properties
    return str(properties.get("addressPrefix") or properties["addressPrefixes"][0])


def _delegation(id: str, given: Json) -> Json:
    service = (given.get("properties") or {}).get("serviceName", "")
    return {
        "name": given["name"],
        "id": f"{id}/delegations/{given['name']}",
        "properties": {
            "provisioningState": "Succeeded",
            "serviceName": service,
            "actions": ["Microsoft.Network/virtualNetworks/subnets/action"],
        },
        "type": "Microsoft.Network/virtualNetworks/subnets/delegations",
    }


def _in_capitals(id: str) -> str:
    """The id of an IP configuration in the form that subnets show: group and names in upper case."""
    words = id.split("/")
    for place in (4, 8, 10):
        words[place] = words[place].upper()
    return "/".join(words)


def free_address(kind: NetworkKind, subnet: Resource, wanted: str | None, by: str) -> str:
    """A free address of a subnet, or the requested one. Raises `RefusedError`."""
    network = ipaddress.ip_network(prefix_of(subnet))
    taken = {
        each["properties"]["privateIPAddress"]
        for each in kind.users(subnet, "subnet")
        if not each["id"].startswith(f"{by}/")
    }
    taken |= set(subnet.hidden.get("addresses", {}).values())
    hosts = [str(network[number]) for number in range(_RESERVED, min(network.num_addresses - 1, 4096))]
    if wanted is not None:
        if wanted in taken:
            message = f"IP configuration {by} is using the private IP address {wanted} which is already allocated."
            raise RefusedError(400, "PrivateIPAddressInUse", message, details=[])
        if ipaddress.ip_address(wanted) not in network:
            message = f"Private static IP address {wanted} does not belong to the range of subnet prefix {network}."
            raise RefusedError(400, "PrivateIPAddressNotInSubnet", message, details=[])
        return wanted
    free = next((each for each in hosts if each not in taken), None)
    if free is None:
        message = (
            f"Subnet {subnet.name} with address prefix {network} does not have enough capacity for 1 IP addresses."
        )
        raise RefusedError(400, "SubnetIsFull", message, details=[])
    return free
