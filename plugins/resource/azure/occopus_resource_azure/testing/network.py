"""Microsoft.Network: public addresses, and the behaviour that all its types share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import ClassVar

from occopus_resource_azure.testing.account import Resource
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.kind import Kind
from occopus_resource_azure.testing.operations import Style
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError, Request


class NetworkKind(Kind):
    """A type of Microsoft.Network: etags, states of parts, operations without times."""

    style: ClassVar[Style] = "network"
    put_retry: ClassVar[str] = "1"
    delete_retry: ClassVar[str] = "10"
    noun: ClassVar[str]
    """Its name in the names of operations, such as ``PutSubnetOperation``."""

    def shown(self, request: Request, resource: Resource) -> Answer:
        """One resource with its etag as a header, too."""
        answer = super().shown(request, resource)
        return Answer(answer.status, answer.body, {"ETag": answer.body["etag"]})

    def render(self, resource: Resource, expand: str = "") -> Json:
        """The resource with its state and etag."""
        del expand
        self.account.operations.settle()
        body = {"name": resource.name, "id": resource.id, "etag": resource.hidden["etag"], "type": self.type}
        properties = {"provisioningState": resource.state, **resource.properties, **self.live(resource)}
        return {**body, **resource.body, "properties": properties}

    def place(self, resource: Resource) -> str:
        """The region in operation URLs; a subnet is in the region of its network."""
        return resource.location or self.account.resources[resource.key.rpartition("/subnets/")[0]].location

    def live(self, resource: Resource) -> Json:
        """Properties computed from other resources."""
        del resource
        return {}

    def look(self, resource: Resource | None) -> Json | None:
        """The properties of the existing resource, to detect whether a PUT changes them."""
        if resource is None:
            return None
        return copy.deepcopy({name: value for name, value in resource.properties.items() if value})

    def begun(self, request: Request, resource: Resource, before: Json | None) -> Answer:
        """The answer to a PUT whose operation has begun; without a change it has ended."""
        same = before is not None and before == self.look(resource) and resource.state == "Succeeded"
        self.touch(resource)
        if not same:
            resource.state = "Updating"
        operation = self.start(
            resource,
            f"Put{self.noun}Operation",
            self.account.times["network"],
            request.operation_fault,
            finish=lambda: self.finished(resource),
            failed=lambda: self.settled(resource, "Failed"),
        )
        headers = self.follow(request, operation)
        if same:
            self.account.operations.end(operation, self.account.now())
        else:
            headers["Retry-After"] = self.put_retry
        return Answer(201 if before is None else 200, self.render(resource), headers)

    def finished(self, resource: Resource) -> None:
        """Update other resources after a successful PUT."""
        self.settled(resource, "Succeeded")

    def settled(self, resource: Resource, state: str) -> None:
        """Set the final state of a resource."""
        resource.state = state
        self.touch(resource)

    def touch(self, resource: Resource) -> None:
        """Set a new etag."""
        resource.hidden["etag"] = f'W/"{self.account.guid()}"'
        resource.properties.setdefault("resourceGuid", self.account.guid())

    def delete(self, request: Request) -> Answer:
        """DELETE: refused while other resources use it, including those being deleted."""
        resource = self.account.find(request.target.id)
        if resource is None:
            return self.absent_for_delete(request)
        if not resource.deleting:
            self.check_unused(resource)
            self.remove(resource, self.account.times["network_delete"], request.operation_fault)
        if resource.operation is None:  # pragma: no cover - `remove` has just begun one
            return Answer(204)
        headers = {**self.follow(request, resource.operation, location=True), "Retry-After": self.delete_retry}
        return Answer(202, None, headers)

    def remove(self, resource: Resource, seconds: float, fault: Fault | None = None) -> None:
        """Begin to delete a resource."""
        resource.state = "Deleting"
        self.start(
            resource,
            f"Delete{self.noun}Operation",
            seconds,
            fault,
            finish=lambda: self.account.drop(resource.id),
            failed=lambda: self.settled(resource, "Failed"),
        )

    def check_unused(self, resource: Resource) -> None:
        """Raises `RefusedError` while other resources need it."""

    def referred(self, request: Request, id: str, type: str, region: str) -> Resource:
        """A resource that a body names. Raises `RefusedError` if it is missing, in another region, or not ready yet."""
        found = self.account.find(id)
        if found is None or not id.lower().startswith("/subscriptions/") or found.type.lower() != type.lower():
            raise self._dangling(id, request.target.id, type)
        if self.place(found) != region:
            raise self._dangling(id, request.target.id, type)
        self.check_ready(found, request.target.id)
        return found

    @staticmethod
    def _dangling(id: str, by: str, type: str) -> RefusedError:
        message = (
            f"Resource {id} referenced by resource {by} was not found. Please make sure that the referenced resource "
            "exists, and that both resources are in the same region."
        )
        absent = {"code": "NotFound", "message": f"Resource {id} not found."}
        named = [] if type.lower().endswith("/subnets") else [absent]
        return RefusedError(400, "InvalidResourceReference", message, details=named)

    @staticmethod
    def check_ready(found: Resource, by: str) -> None:
        """Raises `RefusedError` while an operation works on a referenced resource; a 429 that is no throttling."""
        if found.state in ("Succeeded", "Failed"):
            return
        verb = found.operation.verb if found.operation else "an operation"
        detail = (
            f"Cannot proceed with operation because resource {found.id} used by resource {by} is not in Succeeded "
            f"state. Resource is in {found.state} state and the last operation that updated/is updating the resource "
            f"is {verb}."
        )
        details = [{"code": "ReferencedResourceNotProvisioned", "message": detail}]
        raise RefusedError(429, "RetryableError", "A retryable error occurred.", details=details, cause="service")

    @staticmethod
    def check_idle(found: Resource) -> None:
        """Raises `RefusedError` while another operation works on a resource."""
        if found.operation is None or not found.operation.running:
            return
        detail = (
            f"Operation {found.operation.verb} ({found.operation.id}) is updating resource {found.id}. "
            "The call can be retried in 11 seconds."
        )
        details = [{"code": "RetryableErrorDueToAnotherOperation", "message": detail}]
        raise RefusedError(
            429,
            "RetryableError",
            "A retryable error occurred.",
            details=details,
            cause="service",
            headers={"Retry-After": "11"},
        )

    def configurations(self) -> Iterator[tuple[Resource, Json]]:
        """Every IP configuration of every NIC."""
        for nic in self.account.of_type("Microsoft.Network/networkInterfaces"):
            for each in nic.properties["ipConfigurations"]:
                yield nic, each

    def users(self, resource: Resource, part: str) -> list[Json]:
        """The IP configurations that refer to a resource in a property."""
        found = []
        for _nic, each in self.configurations():
            named = each["properties"].get(part)
            if named and named["id"].lower() == resource.key:
                found.append(each)
        return found


class PublicAddresses(NetworkKind):
    """Microsoft.Network/publicIPAddresses."""

    type: ClassVar[str] = "Microsoft.Network/publicIPAddresses"
    noun: ClassVar[str] = "PublicIpAddress"

    def put(self, request: Request) -> Answer:
        """PUT: Standard and Static; the address exists after the operation."""
        body, existing = self.began(request)
        region = self.region(body, existing, request.target.names[-1])
        given = body.get("properties") or {}
        sku = (body.get("sku") or {}).get("name") or "Basic"
        method = given.get("publicIPAllocationMethod", "Dynamic")
        self._check(sku, method, region, existing)
        old = existing.properties if existing else {}
        properties: Json = {
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": method,
            "idleTimeoutInMinutes": 4,
            "ipTags": [],
            "ddosSettings": {"protectionMode": "VirtualNetworkInherited"},
            **given,
            **{name: old[name] for name in ("resourceGuid", "ipAddress") if name in old},
        }
        label = (given.get("dnsSettings") or {}).get("domainNameLabel")
        if label:
            properties["dnsSettings"] = {**given["dnsSettings"], "fqdn": f"{label}.{region}.cloudapp.azure.com"}
        kept: Json = {name: body[name] for name in ("zones", "extendedLocation") if name in body}
        tags = self.account.tags(body)
        new: Json = {"location": region, **kept, **({} if tags is None else {"tags": tags})}
        new.update(properties=properties, sku={"name": sku, "tier": (body.get("sku") or {}).get("tier", "Regional")})
        before = self.look(existing)
        return self.begun(request, self.kept(request, existing, new), before)

    def _check(self, sku: str, method: str, region: str, existing: Resource | None) -> None:
        limits = self.account.limits
        if sku == "Basic" and not limits.basic_addresses:
            message = (
                "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region."
            )
            raise RefusedError(400, "IPv4BasicSkuPublicIpCountLimitReached", message, details=[])
        if sku != "Basic" and method != "Static":
            message = f"Standard sku publicIp must be of type Static, not {method}."
            raise RefusedError(400, "StandardSkuPublicIPAddressesMustBeStatic", message, details=[])
        used = [each for each in self.account.of_type(self.type) if each.location == region]
        if existing is None and limits.public_ips is not None and len(used) >= limits.public_ips:
            message = (
                f"Cannot create more than {limits.public_ips} public IP addresses for this subscription in this region."
            )
            raise RefusedError(400, "PublicIPCountLimitReached", message, details=[])

    def finished(self, resource: Resource) -> None:
        """Allocate a static address."""
        if resource.properties["publicIPAllocationMethod"] == "Static":
            resource.properties.setdefault("ipAddress", self.account.next_address(77))
        super().finished(resource)

    def live(self, resource: Resource) -> Json:
        """The IP configuration that uses it."""
        used = self.users(resource, "publicIPAddress")
        return {"ipConfiguration": {"id": used[0]["id"]}} if used else {}

    def check_unused(self, resource: Resource) -> None:
        """Raises `RefusedError` until the NIC of a public address is deleted."""
        used = self.users(resource, "publicIPAddress")
        if used:
            message = (
                f"Public IP address {resource.id} can not be deleted since it is still allocated to resource "
                f"{used[0]['id']}. In order to delete the public IP, disassociate/detach the Public IP address from "
                "the resource.  To learn how to do this, see aka.ms/deletepublicip."
            )
            raise RefusedError(400, "PublicIPAddressCannotBeDeleted", message, details=[])
