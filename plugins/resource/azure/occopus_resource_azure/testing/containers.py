"""Microsoft.ContainerInstance/containerGroups: creation, simulated processes, and their output."""

from __future__ import annotations

import copy
import re
from typing import ClassVar

from occopus_resource_azure.testing import process
from occopus_resource_azure.testing.account import Account, Resource
from occopus_resource_azure.testing.kind import Kind, unsupported
from occopus_resource_azure.testing.operations import Operation, Style
from occopus_resource_azure.testing.vnet import SUBNETS, Subnets, free_address
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError, Request

SERVICE = "Microsoft.ContainerInstance/containerGroups"
_MISSING = re.compile("no-such|missing|absent", re.IGNORECASE)


class ContainerGroups(Kind):
    """Container groups."""

    type: ClassVar[str] = SERVICE
    style: ClassVar[Style] = "container"
    pattern: ClassVar[re.Pattern[str]] = re.compile(r"(?!.*--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

    def __init__(self, account: Account, base: str) -> None:
        super().__init__(account, base)
        self.subnets = Subnets(account, base)

    def put(self, request: Request) -> Answer:
        """PUT: create a group (201), or update an existing one of the same shape (200)."""
        body, existing = self.began(request)
        region = self.region(body, existing, request.target.names[-1])
        given = dict(body.get("properties") or {})
        name = request.target.names[-1]
        _check(name, given)
        subnet = self._subnet(given, name, region)
        if existing is not None:
            _check_shape(existing, given)
        else:
            self._check_room(region, given)
        tags = self.account.tags(body)
        new: Json = {"location": region, **({} if tags is None else {"tags": tags})}
        if "zones" in body:
            new["zones"] = body["zones"]
        if body.get("identity"):
            tenant = {"principalId": self.account.guid(), "tenantId": self.account.tenant}
            new["identity"] = {**body["identity"], **tenant}
        new["properties"] = _filled(given, region)
        group = self.kept(request, existing, new)
        group.hidden.update(subnet=subnet.id if subnet else "", process=process.Process.of(self.account, group))
        group.hidden["environment"] = [
            (each["name"], each.get("secureValue", each.get("value")))
            for container in given["containers"]
            for each in container["properties"].get("environmentVariables") or []
        ]
        if subnet is not None:
            self._take_address(group, subnet)
        group.state = "Pending"
        operation = self.start(
            group,
            "ContainerGroups.CreateOrUpdate",
            self.account.times["container_create"],
            request.operation_fault,
            finish=lambda: self._made(group),
            failed=lambda: self._failed(group),
            events=lambda: self._events(group),
        )
        return Answer(201 if existing is None else 200, self.render(group), self.follow(request, operation))

    def _subnet(self, given: Json, name: str, region: str) -> Resource | None:
        profile = given.get("networkProfile")
        if profile:
            message = f"Network profile '{profile['id']}' is not found for container group '{name}'."
            raise RefusedError(400, "NetworkProfileNotFound", message)
        wanted = given.get("subnetIds") or []
        if not wanted:
            return None
        id = wanted[0]["id"]
        found = self.account.find(id)
        if found is None or found.type != SUBNETS or self.subnets.place(found) != region:
            message = f"Subnet '{id}' is not found for container group '{name}'."
            raise RefusedError(400, "SubnetNotFound", message)
        services = [each["properties"]["serviceName"] for each in found.properties["delegations"]]
        if SERVICE not in services:
            message = f"Subnet '{id}' requires delegation to '{SERVICE}'."
            raise RefusedError(400, "SubnetDelegationRequired", message)
        return found

    def _take_address(self, group: Resource, subnet: Resource) -> None:
        addresses = subnet.hidden.setdefault("addresses", {})
        if group.key not in addresses:
            addresses[group.key] = free_address(self.subnets, subnet, None, group.id)

    def _check_room(self, region: str, given: Json) -> None:
        limits = self.account.limits
        others = [each for each in self.account.of_type(self.type) if each.location == region]
        used = sum(_cores(each.properties) for each in others)
        if limits.container_groups is not None and len(others) >= limits.container_groups:
            raise _quota("ContainerGroups", region, limits.container_groups, len(others), 1)
        if limits.container_cores is not None and used + _cores(given) > limits.container_cores:
            raise _quota("StandardCores", region, limits.container_cores, used, _cores(given))

    def _made(self, group: Resource) -> None:
        group.state = "Succeeded"
        group.hidden["process"].start(self.account.now())

    def _failed(self, group: Resource) -> None:
        group.state = "Failed"
        group.hidden["process"].fail()

    def _events(self, group: Resource) -> list[Json]:
        running: process.Process = group.hidden["process"]
        return running.events()

    def render(self, resource: Resource, expand: str = "") -> Json:
        """The group; every answer except lists has its instance view."""
        running: process.Process = resource.hidden["process"]
        properties = copy.deepcopy(resource.properties)
        properties["provisioningState"] = resource.state
        view = running.view()
        up = resource.state == "Succeeded"
        if expand != "list":
            properties["instanceView"] = {"events": view.group_events, "state": view.state}
            for container in properties["containers"]:
                if up:
                    container["properties"]["instanceView"] = view.container
        address = properties.pop("ipAddress", None)
        if address is not None and resource.hidden["subnet"]:
            if up:
                subnet = self.account.resources[resource.hidden["subnet"].lower()]
                properties["ipAddress"] = {**address, "ip": subnet.hidden["addresses"][resource.key]}
        elif address is not None:
            properties["ipAddress"] = {**address, **({"ip": self._public(resource)} if up else {})}
        named = {"id": resource.id, "name": resource.name, "type": self.type}
        return {**named, **resource.body, "properties": properties}

    def _public(self, group: Resource) -> str:
        if "ip" not in group.hidden:
            group.hidden["ip"] = self.account.next_address(78)
        return str(group.hidden["ip"])

    def listed_expand(self, request: Request) -> str:
        """Lists have no instance views."""
        del request
        return "list"

    def delete(self, request: Request) -> Answer:
        """DELETE: takes effect at once, and returns the last state."""
        group = self.account.find(request.target.id)
        if group is None:
            return self.absent_for_delete(request)
        last = self.render(group)
        self.account.operations.preempt(group.operation)
        subnet = self.account.find(group.hidden["subnet"])
        if subnet is not None:
            subnet.hidden.get("addresses", {}).pop(group.key, None)
        self.account.drop(group.id)
        return Answer(200, last)

    def act(self, request: Request, action: str) -> Answer:
        """POST of start, stop and restart; GET of a container's output."""
        if request.method == "GET" and action == "logs":
            return self._logs(request)
        group = self.existing(request)
        if request.method != "POST" or action not in ("start", "stop", "restart"):
            raise unsupported(request, action)
        running: process.Process = group.hidden["process"]
        change = running.stop if action == "stop" else lambda: running.start(self.account.now())
        operation = Operation(
            self.style,
            group.id,
            group.location,
            f"ContainerGroups.{action}",
            self.account.now(),
            self.account.now() + self.account.times["container_power"],
            finish=change,
            events=lambda: self._events(group),
        )
        self.account.operations.start(operation, request.operation_fault)
        return Answer(202 if action == "start" else 204, None, self.follow(request, operation))

    def _logs(self, request: Request) -> Answer:
        target = request.target
        self.account.group(target.group)
        path = target.parent
        group = self.account.find(path.id)
        if group is None:
            raise self.account.absent(path)
        name = target.names[-1]
        if name not in [each["name"] for each in group.properties["containers"]]:
            message = f"The container '{name}' in container group '{group.name}' was not found."
            raise RefusedError(404, "ContainerNotFound", message)
        running: process.Process = group.hidden["process"]
        lines = running.output()
        tail = request.query.get("tail")
        return Answer(200, {"content": "".join(lines[-int(tail) :] if tail else lines)})


def _check(name: str, given: Json) -> None:
    """Raises `RefusedError` for an invalid body."""
    containers = given.get("containers") or []
    if not containers:
        raise RefusedError(400, "MissingContainers", f"The container group '{name}' has no containers.")
    if given.get("osType") not in ("Linux", "Windows"):
        raise RefusedError(400, "InvalidOsType", f"The 'osType' for container group '{name}' is invalid.")
    for container in containers:
        properties = container.get("properties") or {}
        _check_container(name, container["name"], properties)
    opened = {(each["port"]) for each in (given.get("ipAddress") or {}).get("ports") or []}
    listening = {each["port"] for each in _all_ports(containers)}
    if opened - listening:
        ports = sorted(opened - listening)
        ports = sorted(opened - listening)
        message = f"The ports '{ports}' in the 'ipAddress' of '{name}' are not exposed in any of its containers."
        raise RefusedError(400, "MissingContainerPort", message)
    address = given.get("ipAddress") or {}
    if given.get("subnetIds") and (address.get("type") == "Public" or address.get("dnsNameLabel")):
        message = f"IP Address type in container group '{name}' is invalid when a subnet is given. Use 'Private'."
        raise RefusedError(400, "PrivateIPAddressRequired", message)
    if address.get("type") == "Private" and not given.get("subnetIds") and not given.get("networkProfile"):
        message = f"IP Address type 'Private' in container group '{name}' needs a subnet."
        raise RefusedError(400, "NetworkProfileRequired", message)


def _check_container(group: str, name: str, properties: Json) -> None:
    if not ContainerGroups.pattern.fullmatch(name):
        raise RefusedError(400, "InvalidContainerName", f"The container name '{name}' in '{group}' is invalid.")
    image = properties.get("image", "")
    if not image or _MISSING.search(image):
        message = (
            f"The image '{image}' in container group '{group}' is not accessible. "
            "Please check the image and registry credential."
        )
        raise RefusedError(400, "InaccessibleImage", message)
    requests = (properties.get("resources") or {}).get("requests") or {}
    if not requests.get("cpu") or not requests.get("memoryInGB"):
        message = f"Resource requests for container '{name}' in container group '{group}' are not valid."
        raise RefusedError(400, "ResourceRequestsNotSpecified", message)
    if requests.get("gpu"):
        message = f"GPU resources are not available for container group '{group}'."
        raise RefusedError(400, "GpuNotAvailable", message)


def _all_ports(containers: list[Json]) -> list[Json]:
    return [port for each in containers for port in (each.get("properties") or {}).get("ports") or []]


def _check_shape(existing: Resource, given: Json) -> None:
    old = existing.properties
    for part in ("osType", "restartPolicy", "ipAddress", "subnetIds"):
        before, after = old.get(part), given.get(part)
        if part == "ipAddress" and before and after:
            before, after = before.get("type"), after.get("type")
        if after is not None and before != after:
            message = (
                f"The updates on container group '{existing.name}' are invalid. If you are going to update the os "
                "type, restart policy, network profile, CPU, memory or GPU resources for a container group, you must "
                "delete it first and then create a new one."
            )
            raise RefusedError(400, "InvalidContainerGroupUpdate", message)


def _cores(properties: Json) -> float:
    requests = [each["properties"]["resources"]["requests"] for each in properties["containers"]]
    return sum(float(each["cpu"]) for each in requests)


def _quota(kind: str, region: str, limit: float, used: float, wanted: float) -> RefusedError:
    message = (
        f"Resource type '{SERVICE}' container group quota '{kind}' exceeded in region '{region}'. "
        f"Limit: '{limit:g}', Usage: '{used:g}' Requested: '{wanted:g}'."
    )
    return RefusedError(409, "ContainerGroupQuotaReached", message)


def _filled(given: Json, region: str) -> Json:
    """The properties of a group as the API returns them: with defaults, without secrets."""
    made = copy.deepcopy(given)
    for name in ("provisioningState", "instanceView"):
        made.pop(name, None)
    _without_secrets(made)
    made["containers"] = [_container(each) for each in made["containers"]]
    address = made.get("ipAddress")
    if address is not None:
        for port in address["ports"]:
            port.setdefault("protocol", "TCP")
        if address.get("dnsNameLabel"):
            address["fqdn"] = f"{address['dnsNameLabel']}.{region}.azurecontainer.io"
    defaults: Json = {
        "sku": "Standard",
        "isCreatedFromStandbyPool": False,
        "provisioningTimeoutInSeconds": 1800,
        "isCustomProvisioningTimeout": False,
        "initContainers": [],
        "restartPolicy": "Always",
    }
    return {**defaults, **made}


def _without_secrets(made: Json) -> None:
    for credential in made.get("imageRegistryCredentials") or []:
        credential.pop("password", None)
    for volume in made.get("volumes") or []:
        if "secret" in volume:
            volume["secret"] = {}
        (volume.get("azureFile") or {}).pop("storageAccountKey", None)
    ((made.get("diagnostics") or {}).get("logAnalytics") or {}).pop("workspaceKey", None)


def _container(given: Json) -> Json:
    properties = {"ports": [], "environmentVariables": [], "configMap": {"keyValuePairs": {}}, **given["properties"]}
    properties["environmentVariables"] = [
        {name: value for name, value in each.items() if name != "secureValue"}
        for each in properties["environmentVariables"]
    ]
    for port in properties["ports"]:
        port.setdefault("protocol", "TCP")
    requests = properties["resources"]["requests"]
    numbers = {"memoryInGB": float(requests["memoryInGB"]), "cpu": float(requests["cpu"])}
    properties["resources"] = {**properties["resources"], "requests": {**requests, **numbers}}
    return {"name": given["name"], "properties": properties}
