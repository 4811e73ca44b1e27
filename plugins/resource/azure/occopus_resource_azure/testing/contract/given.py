"""Prepares the state that a recorded exchange needs on the stand-in."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from occopus_resource_azure.testing.arm import Arm
from occopus_resource_azure.testing.contract.recorded import Recorded
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.wire import Json, Path, RefusedError, Request

_REGION = "westus2"
_REFERENCES = ("subnet", "publicIPAddress", "networkSecurityGroup", "subnetIds", "networkInterfaces")
_ABSENT = (
    "ResourceNotFound",
    "NotFound",
    "ResourceGroupNotFound",
    "InvalidResourceReference",
    "NetworkProfileNotFound",
    "ParentResourceNotFound",
)
_MACHINE: Json = {
    "hardwareProfile": {"vmSize": "Standard_B1s"},
    "storageProfile": {
        "imageReference": {"publisher": "Canonical", "offer": "UbuntuServer", "sku": "18.04-LTS", "version": "latest"}
    },
    "osProfile": {"adminUsername": "azureuser", "adminPassword": "Secret-123456"},
}
_GROUP: Json = {
    "osType": "Linux",
    "containers": [
        {"name": "c", "properties": {"image": "nginx", "resources": {"requests": {"cpu": 1, "memoryInGB": 1}}}}
    ],
}


class Given:
    """Makes the resources that recorded exchanges need, from other exchanges of the sequence, else with defaults."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._account = arm.account
        self._seen: dict[str, Json] = {}
        self._finish = True
        self._region = self._default = _REGION

    def hints(self, recorded: list[Recorded]) -> None:
        """Remember the first description of each resource in a sequence, and the users that its errors name."""
        bodies = [body for each in recorded for body in (each.request, *_resources(each.response))]
        regions = [str(body["location"]) for body in bodies if isinstance(body, dict) and "location" in body]
        self._default = max(regions, key=regions.count, default=_REGION)
        for each in recorded:
            for resource in _resources(each.response):
                self._seen.setdefault(resource["id"].lower(), resource)
                view = (resource.get("properties") or {}).get("instanceView") or {}
                if view.get("state") == "Succeeded":
                    self._account.behaviours[resource["name"]] = "complete"
        for each in recorded:
            if each.error:
                self._related(each.path, each.response["error"]["message"])

    def _related(self, path: str, message: str) -> None:
        """Remember which NIC belongs to a VM, an address, a security group or a subnet."""
        ids = re.findall(r"/subscriptions/[^\s,']+[^\s,'.]", message)
        used = _first(ids, "/networkInterfaces/")
        machine = _first(ids, "/virtualMachines/")
        if machine and "/disks/" in path:
            storage = self._hint(machine)["properties"].setdefault("storageProfile", {})
            storage["osDisk"] = {"createOption": "FromImage", "name": path.rpartition("/")[2]}
        if not used:
            return
        nic, _, configuration = used.partition("/ipConfigurations/")
        properties = self._hint(nic)["properties"]
        if machine:
            self._hint(machine)["properties"]["networkProfile"] = {"networkInterfaces": [{"id": nic}]}
        if "/networkSecurityGroups/" in path:
            properties["networkSecurityGroup"] = {"id": path}
        if not configuration:
            return
        listed = properties.setdefault("ipConfigurations", [{"name": configuration, "properties": {}}])
        if "/publicIPAddresses/" in path:
            listed[0]["properties"]["publicIPAddress"] = {"id": path}
        elif "/virtualNetworks/" in path:
            subnet = message.split()[1]
            listed[0]["properties"]["subnet"] = {"id": f"{path}/subnets/{subnet}"}

    def _hint(self, id: str) -> Json:
        found = self._seen.setdefault(id.lower(), {"id": id})
        found.setdefault("properties", {})
        return found

    def prepare(self, recorded: Recorded) -> None:
        """Prepare the state for an exchange."""
        target = Path.parse(recorded.path)
        if target is None or recorded.error == "ResourceGroupNotFound":
            return
        if not target.provider and not target.types:
            if recorded.method != "PUT" and recorded.status < HTTPStatus.BAD_REQUEST:
                self._group(target.group, recorded.response)
            return
        if target.group:
            self._group(target.group, None)
        if recorded.error == "RetryableError":
            self._too_early(recorded)
        elif recorded.error in _ABSENT:
            if recorded.error == "NotFound" and recorded.method == "GET" and "/virtualMachines/" in recorded.path:
                self._evicted(target)
        else:
            self._limits(recorded)
            self._needed(recorded, target)

    def _needed(self, recorded: Recorded, target: Path) -> None:
        """Make what an accepted request needs, and the users of a resource that could not be deleted."""
        self._users(recorded)
        if recorded.method == "PUT":
            region = recorded.request.get("location", "") if isinstance(recorded.request, dict) else ""
            for id in _references(recorded.request):
                self.ensure(id, region=region)
        changes = recorded.method != "PUT" or recorded.status == HTTPStatus.OK
        if changes and target.provider and target.names and recorded.status != HTTPStatus.NO_CONTENT:
            self.ensure(_item(self._arm, target).id)
        for resource in _resources(recorded.response):
            if recorded.method == "GET" and resource["id"].lower() != target.id.lower():
                self.ensure(resource["id"], resource)

    def _group(self, name: str, shown: Any) -> None:
        if name.lower() not in self._account.groups:
            body = shown if isinstance(shown, dict) else {}
            tags = {"tags": body["tags"]} if "tags" in body else {}
            self._arm.groups.keep(name, {"location": body.get("location", _REGION), **tags})

    def _limits(self, recorded: Recorded) -> None:
        message = str(((recorded.response or {}).get("error") or {}).get("message")) if recorded.error else ""
        if "quota" in message and recorded.error == "OperationNotAllowed":
            self._account.limits.cores = 0

    def _users(self, recorded: Recorded) -> None:
        """Make the users of a resource whose deletion was refused: the message names them."""
        if not recorded.error:
            return
        message = recorded.response["error"]["message"]
        for id in re.findall(r"/subscriptions/[^\s,']+[^\s,'.]", message):
            if "/ipConfigurations/" in id:
                self.ensure(id.partition("/ipConfigurations/")[0])
            elif "/operations/" not in id:
                self.ensure(id)

    def _evicted(self, target: Path) -> None:
        """Evict a VM: the compute provider then reports that it does not exist."""
        self.ensure(target.id)
        found = self._account.find(target.id)
        assert found is not None
        found.hidden["evicted"] = True
        self._account.drop(target.id)

    def _too_early(self, recorded: Recorded) -> None:
        """Start an operation that the request has to wait for: the detail of the error names it."""
        detail = recorded.response["error"]["details"][0]
        id = re.findall(r"resource (/subscriptions/[^\s,']+[^\s,'.])", detail["message"])[0]
        if self._account.find(id) is None or detail["code"] == "RetryableErrorDueToAnotherOperation":
            self.ensure(id.partition("/subnets/")[0])
            self._finish = False
            self.ensure(id if "/subnets/" in id else f"{id}/subnets/other")
        self._finish = True

    def ensure(self, id: str, shown: Json | None = None, region: str = "") -> None:
        """Make and finish a resource, with those that it refers to, unless it exists."""
        target = Path.parse(id)
        if target is None or self._account.find(id) is not None or target.type not in self._arm.kinds:
            return
        self._group(target.group, None)
        body = copy.deepcopy(shown or self._seen.get(id.lower()) or {})
        if target.type.rpartition("/")[2] not in ("subnets", "securityrules"):
            body.setdefault("location", region or self._default)
        self._region = body.get("location", region or self._default)
        getattr(self, f"_{target.types[-1].lower()}", lambda *_: None)(target, body)

    def _put(self, target: Path, body: Json) -> None:
        kind = self._arm.kinds[target.type]
        region = body.get("location", "")
        finish, self._finish = self._finish, True
        for id in _references(body):
            self.ensure(id, region=region)
        self._finish = finish
        try:
            kind.put(Request("PUT", target.id, {"api-version": "2024-01-01"}, {}, body, target))
        except RefusedError as refused:
            raise AssertionError(f"{target.id} cannot be made: {refused}") from refused
        made = self._account.find(target.id)
        if self._finish and made is not None and made.operation is not None and made.operation.running:
            self._account.operations.end(made.operation, self._account.now())

    def _virtualnetworks(self, target: Path, body: Json) -> None:
        properties = body.setdefault("properties", {})
        properties.setdefault("addressSpace", {"addressPrefixes": ["10.0.0.0/8"]})
        self._put(target, body)

    def _subnets(self, target: Path, body: Json) -> None:
        finish, self._finish = self._finish, True
        self.ensure(target.parent.id, region=self._region)
        self._finish = finish
        if self._account.find(target.id) is None:
            body.setdefault("properties", {}).setdefault("addressPrefix", "10.0.0.0/24")
            self._put(target, {"properties": body["properties"]})

    def _publicipaddresses(self, target: Path, body: Json) -> None:
        self._put(target, body)

    def _networksecuritygroups(self, target: Path, body: Json) -> None:
        properties = body.setdefault("properties", {})
        for name in ("defaultSecurityRules", "networkInterfaces", "subnets"):
            properties.pop(name, None)
        self._put(target, body)

    def _securityrules(self, target: Path, body: Json) -> None:
        self.ensure(target.parent.id)
        group = self._account.find(target.parent.id)
        there = [each["name"] for each in group.properties["securityRules"]] if group else []
        if "properties" in body and target.names[-1] not in there:
            self._put(target, body)

    def _networkinterfaces(self, target: Path, body: Json) -> None:
        properties = body.setdefault("properties", {})
        properties.pop("virtualMachine", None)
        network = Path(target.subscription, target.group, target.provider, ("virtualNetworks", "subnets"), ("n", "s"))
        for each in properties.setdefault("ipConfigurations", [{"name": "c"}]):
            each.setdefault("properties", {}).setdefault("subnet", {"id": network.id})
        self._put(target, body)

    def _virtualmachines(self, target: Path, body: Json) -> None:
        given = body.get("properties") or {}
        names = ("hardwareProfile", "networkProfile", "priority", "diagnosticsProfile")
        properties = {**copy.deepcopy(_MACHINE), **{name: given[name] for name in names if name in given}}
        if given.get("storageProfile", {}).get("imageReference"):
            properties["storageProfile"] = given["storageProfile"]
        elif given.get("storageProfile"):
            properties["storageProfile"].update(given["storageProfile"])
        if given.get("osProfile"):
            properties["osProfile"] = {**given["osProfile"], "adminPassword": "Secret-123456"}
        if not (properties.get("networkProfile") or {}).get("networkInterfaces"):
            nic = Path(target.subscription, target.group, "Microsoft.Network", ("networkInterfaces",), ("nic",))
            properties["networkProfile"] = {"networkInterfaces": [{"id": nic.id}]}
        self._put(target, {**{n: body[n] for n in ("location", "tags") if n in body}, "properties": properties})

    def _disks(self, target: Path, body: Json) -> None:
        body.setdefault("properties", {}).setdefault("creationData", {"createOption": "Empty"})
        self._put(target, body)

    def _containergroups(self, target: Path, body: Json) -> None:
        given = body.get("properties") or copy.deepcopy(_GROUP)
        given.pop("provisioningState", None)
        given.pop("instanceView", None)
        self._put(target, {**body, "properties": given})

    def failed_operation(self, target: Path, recorded: Recorded) -> str:
        """The address of a failed operation of the same provider, like the recorded one."""
        error = recorded.response["error"]
        fault = Fault("fail_operation", code=error["code"], message=error["message"], details=error.get("details"))
        compute = target.provider.lower() == "microsoft.compute"
        type, name = ("virtualMachines", "failed") if compute else ("publicIPAddresses", "failed")
        group = "failed-operations"
        self._group(group, None)
        path = Path(target.subscription, group, target.provider, (type,), (name,))
        body: Json = {"location": _REGION}
        if compute:
            nic = Path(target.subscription, group, "Microsoft.Network", ("networkInterfaces",), ("nic",))
            self.ensure(nic.id)
            body["properties"] = {**_MACHINE, "networkProfile": {"networkInterfaces": [{"id": nic.id}]}}
        request = Request("PUT", path.id, {"api-version": "2024-01-01"}, {}, body, path, operation_fault=fault)
        return self._arm.kinds[path.type].put(request).headers["Azure-AsyncOperation"]


def _item(arm: Arm, target: Path) -> Path:
    """The resource of a call to it, to its actions or its children."""
    while target.types and (target.type not in arm.kinds or not target.is_item):
        size = len(target.types) - 1
        target = Path(target.subscription, target.group, target.provider, target.types[:size], target.names[:size])
    return target


def _first(ids: list[str], part: str) -> str:
    """The first id that contains a part, or an empty text."""
    return next((each for each in ids if part in each), "")


def _resources(body: Any) -> Iterator[Json]:
    """Every resource that an answer shows."""
    if not isinstance(body, dict):
        return
    for each in [body, *(body.get("value") or [] if isinstance(body.get("value"), list) else [])]:
        if isinstance(each, dict) and str(each.get("id", "")).startswith("/subscriptions/") and "type" in each:
            yield each


def _references(body: Any) -> Iterator[str]:
    """The ids that a body refers to."""
    if isinstance(body, dict):
        for name, value in body.items():
            if name in _REFERENCES:
                for each in value if isinstance(value, list) else [value]:
                    if isinstance(each, dict) and "id" in each:
                        yield each["id"]
            yield from _references(value)
    elif isinstance(body, list):
        for each in body:
            yield from _references(each)
