"""Microsoft.Compute/virtualMachines: creation, power, cascading deletion, and console output."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from occopus_resource_azure.testing import machine as checks
from occopus_resource_azure.testing.account import Account, Resource
from occopus_resource_azure.testing.disks import Disks
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.interfaces import Interfaces
from occopus_resource_azure.testing.kind import Kind, paged, unsupported
from occopus_resource_azure.testing.operations import Style
from occopus_resource_azure.testing.wire import Answer, Json, RefusedError, Request

NICS = "Microsoft.Network/networkInterfaces"
_POWER = {
    "start": ("starting", "running"),
    "restart": ("running", "running"),
    "powerOff": ("stopping", "stopped"),
    "deallocate": ("deallocating", "deallocated"),
    "redeploy": ("running", "running"),
    "reapply": ("", ""),
}
_WORDS = {
    "running": "VM running",
    "stopped": "VM stopped",
    "deallocated": "VM deallocated",
    "starting": "VM starting",
    "stopping": "VM stopping",
    "deallocating": "VM deallocating",
}


class Machines(Kind):
    """Virtual machines."""

    type: ClassVar[str] = "Microsoft.Compute/virtualMachines"
    style: ClassVar[Style] = "compute"
    pattern: ClassVar[re.Pattern[str]] = re.compile(r"(?!_)[A-Za-z0-9_.-]{1,64}(?<![.-])")

    def __init__(self, account: Account, base: str) -> None:
        super().__init__(account, base)
        self.disks = Disks(account, base)
        self.nics = Interfaces(account, base)

    def put(self, request: Request) -> Answer:
        """PUT: create a VM (201), or change an existing one (200)."""
        body, existing = self.began(request)
        region = self.region(body, existing, request.target.names[-1])
        given = dict(body.get("properties") or {})
        if existing is not None:
            return self._changed(request, existing, body, given)
        checks.check(given, request.target.names[-1])
        nics = self._nics(request, given, region)
        checks.check_room(self.account, given, region, request.target)
        resource = self.kept(request, None, self._body(body, given, region))
        resource.hidden["vmId"], resource.hidden["created"] = (
            self.account.guid(),
            self.account.written(self.account.now()),
        )
        resource.hidden["userData"] = given.get("userData")
        resource.hidden["customData"] = (given.get("osProfile") or {}).get("customData")
        self._make_disks(resource)
        for nic in nics:
            nic.properties["virtualMachine"] = {"id": resource.id}
            self.nics.touch(nic)
        return self._begun(request, resource)

    def _begun(self, request: Request, resource: Resource) -> Answer:
        resource.state = "Creating"
        operation = self.start(
            resource,
            "VirtualMachines.CreateOrUpdate",
            self.account.times["vm_create"],
            request.operation_fault,
            finish=lambda: self._made(resource),
            failed=lambda: self._failed(resource),
            pause="35",
        )
        return Answer(201, self.render(resource), {**self.follow(request, operation), "Retry-After": "10"})

    def _changed(self, request: Request, existing: Resource, body: Json, given: Json) -> Answer:
        if existing.deleting:
            raise _conflict()
        checks.check_unchanged(existing, given)
        if existing.operation is not None and existing.operation.running:
            return Answer(200, self.render(existing), self.follow(request, existing.operation))
        tags = self.account.tags(body)
        existing.body.pop("tags", None)
        if tags is not None:
            existing.body["tags"] = tags
        for part in ("diagnosticsProfile", "hardwareProfile"):
            if part in given:
                existing.properties[part] = given[part]
        if existing.state == "Failed":
            answer = self._begun(request, existing)
            return Answer(200, answer.body, {name: answer.headers[name] for name in ("Azure-AsyncOperation",)})
        existing.state = "Updating"
        operation = self.start(
            existing,
            "VirtualMachines.CreateOrUpdate",
            self.account.times["vm_power"],
            request.operation_fault,
            finish=lambda: self._settle(existing, "Succeeded"),
            failed=lambda: self._failed(existing),
        )
        return Answer(200, self.render(existing), self.follow(request, operation))

    def patch(self, request: Request) -> Answer:
        """PATCH: an operation, like a PUT of an existing VM."""
        existing = self.existing(request)
        body = dict(request.body or {})
        body.setdefault("tags", existing.body.get("tags"))
        return self._changed(request, existing, body, dict(body.get("properties") or {}))

    def _nics(self, request: Request, given: Json, region: str) -> list[Resource]:
        """The NICs that a body names. Raises `RefusedError`: 404 for the NIC, not for the VM."""
        found = []
        for named in (given.get("networkProfile") or {}).get("networkInterfaces") or []:
            nic = self.account.find(named["id"])
            if nic is None or nic.type != NICS or nic.location != region:
                raise RefusedError(404, "NotFound", f"Resource {named['id']} not found.", details=[])
            user = nic.properties.get("virtualMachine")
            if user and user["id"].lower() != request.target.id.lower():
                message = f"Network Interface {nic.id} is used by existing resource {user['id']}."
                raise RefusedError(400, "NicInUse", message, details=[])
            self.nics.check_ready(nic, request.target.id)
            found.append(nic)
        if not found:
            message = "Virtual Machine must have at least one network interface."
            raise RefusedError(400, "InvalidParameter", message, target="networkProfile")
        return found

    def _body(self, body: Json, given: Json, region: str) -> Json:
        tags = self.account.tags(body)
        new: Json = {"location": region, **({} if tags is None else {"tags": tags})}
        new.update({part: body[part] for part in ("zones", "plan", "extendedLocation") if part in body})
        if body.get("identity"):
            new["identity"] = {**body["identity"], **self._principal(body["identity"])}
        new["properties"] = checks.filled(given, region)
        return new

    def _principal(self, identity: Json) -> Json:
        made: Json = {}
        if "SystemAssigned" in identity.get("type", ""):
            made = {"principalId": self.account.guid(), "tenantId": self.account.tenant}
        if identity.get("userAssignedIdentities"):
            users = {"principalId": self.account.guid(), "clientId": self.account.guid()}
            made["userAssignedIdentities"] = dict.fromkeys(identity["userAssignedIdentities"], users)
        return made

    def _make_disks(self, resource: Resource) -> None:
        storage = resource.properties["storageProfile"]
        for number, disk in enumerate([storage["osDisk"], *storage["dataDisks"]], 1):
            word = "OsDisk" if number == 1 else "disk"
            name = disk.get("name") or f"{resource.name}_{word}_{number}_{self.account.guid().replace('-', '')}"
            sku = disk.setdefault("managedDisk", {}).setdefault("storageAccountType", "Standard_LRS")
            made = self.disks.attach(resource, name, disk.get("diskSizeGB", 30), sku)
            resource.hidden.setdefault("disks", []).append((name, made.id))

    def _made(self, resource: Resource) -> None:
        self._settle(resource, "Succeeded")
        resource.hidden["power"] = "running"
        storage = resource.properties["storageProfile"]
        for disk, (name, id) in zip([storage["osDisk"], *storage["dataDisks"]], resource.hidden["disks"], strict=True):
            disk["name"], disk["managedDisk"]["id"] = name, id
        for number, nic in enumerate(self._attached(resource)):
            nic.properties.update(macAddress=_mac(resource.hidden["vmId"], number), primary=number == 0)
            self.nics.touch(nic)

    def _failed(self, resource: Resource) -> None:
        """Fail a VM: it stays and costs money, and its NICs stay reserved for it for a while."""
        self._settle(resource, "Failed")
        resource.hidden["error"] = (resource.operation.error or {}) if resource.operation else {}
        until = self.account.now() + self.account.times["nic_reserved"]
        for nic in self._attached(resource):
            nic.hidden["reserved"] = (resource.id, until)

    def _settle(self, resource: Resource, state: str) -> None:
        resource.state = state

    def _attached(self, resource: Resource) -> list[Resource]:
        named = resource.properties["networkProfile"]["networkInterfaces"]
        return [nic for each in named if (nic := self.account.find(each["id"])) is not None]

    def render(self, resource: Resource, expand: str = "") -> Json:
        """The VM without secrets, with the instance view on demand."""
        hidden = resource.hidden
        properties = {
            **resource.properties,
            "provisioningState": resource.state,
            "vmId": hidden["vmId"],
            "timeCreated": hidden["created"],
        }
        if "instanceview" in expand.lower():
            properties["instanceView"] = self.instance_view(resource)
        if "userdata" in expand.lower() and hidden.get("userData"):
            properties["userData"] = hidden["userData"]
        named = {"name": resource.name, "id": resource.id, "type": self.type}
        return {**named, **resource.body, "properties": properties}

    def instance_view(self, resource: Resource) -> Json:
        """The instance view; only it has the power state."""
        at = resource.operation.ended or self.account.now() if resource.operation else self.account.now()
        statuses = [self._provisioning(resource, at)]
        power = resource.hidden.get("power")
        if power:
            shown = _WORDS.get(power, f"VM {power}")
            statuses.append({"code": f"PowerState/{power}", "level": "Info", "displayStatus": shown})
        done = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}
        disks = [
            {"name": name, "statuses": [{**done, "time": self.account.written(at)}]}
            for name, _ in resource.hidden["disks"]
        ]
        view: Json = {"disks": disks, "hyperVGeneration": "V1", "statuses": statuses}
        if power not in (None, "deallocated"):
            ready = {**done, "displayStatus": "Ready", "message": "Guest Agent is running"}
            agent = {"vmAgentVersion": "2.9.1.1", "statuses": [{**ready, "time": self.account.written(at)}]}
            name = resource.properties["osProfile"].get("computerName", resource.name)
            view.update(computerName=name, osName="ubuntu", osVersion="22.04", vmAgent=agent)
        return view

    def _provisioning(self, resource: Resource, at: float) -> Json:
        word = resource.state.lower()
        if resource.state == "Failed":
            error = resource.hidden.get("error", {})
            made = {"code": f"ProvisioningState/failed/{error.get('code', '')}", "level": "Error"}
            made.update(displayStatus="Provisioning failed", message=error.get("message", ""))
        else:
            made = {"code": f"ProvisioningState/{word}", "level": "Info"}
            made["displayStatus"] = "Provisioning succeeded" if word == "succeeded" else resource.state
        return {**made, "time": self.account.written(at)}

    def listed(self, request: Request) -> Answer:
        """The list. Only that of the subscription has run time status, with statusOnly=true."""
        query = request.query
        if "$expand" in query and "$filter" not in query:
            message = "The $expand query option can only be specified together with a valid $filter option."
            raise RefusedError(400, "BadRequest", message)
        if query.get("statusonly", "").lower() == "true" and not request.target.group:
            size = self.account.limits.page_size
            return paged(request, self.base, list(map(self._status, self.account.of_type(self.type))), size)
        return super().listed(request)

    def _status(self, resource: Resource) -> Json:
        whole = self.render(resource, "instanceView")
        parts = ("name", "id", "type", "location")
        inner = ("vmId", "provisioningState", "instanceView")
        return {
            **{part: whole[part] for part in parts},
            "properties": {name: whole["properties"][name] for name in inner},
        }

    def missing(self, target: Any) -> RefusedError:
        """The answer for a missing VM: ARM answers it, for an evicted one the compute provider."""
        gone = self.account.gone.get(target.id.lower())
        if gone is not None and gone.hidden.get("evicted"):
            return RefusedError(404, "NotFound", "The entity was not found in this Azure location.")
        return super().missing(target)

    def act(self, request: Request, action: str) -> Answer:
        """Power actions, instance view, console output, and evictions."""
        resource = self.existing(request)
        if request.method == "GET" and action == "instanceView":
            return Answer(200, self.instance_view(resource))
        if request.method == "POST" and action in _POWER:
            return self._power(request, resource, action)
        if request.method == "POST" and action == "retrieveBootDiagnosticsData":
            return self._console(resource)
        if request.method == "POST" and action == "simulateEviction":
            return self._evicted(resource)
        raise unsupported(request, action)

    def _power(self, request: Request, resource: Resource, action: str) -> Answer:
        if resource.deleting or (resource.operation is not None and resource.operation.running):
            raise _conflict()
        during, after = _POWER[action]
        if during:
            resource.hidden["power"] = during
        operation = self.start(
            resource,
            f"VirtualMachines.{action}",
            self.account.times["vm_power"],
            request.operation_fault,
            finish=lambda: self._powered(resource, after),
        )
        return Answer(202, None, self.follow(request, operation, location=True))

    @staticmethod
    def _powered(resource: Resource, power: str) -> None:
        if power:
            resource.hidden["power"] = power

    def _console(self, resource: Resource) -> Answer:
        diagnostics = (resource.properties.get("diagnosticsProfile") or {}).get("bootDiagnostics") or {}
        if not diagnostics.get("enabled"):
            message = f"Boot diagnostics is not enabled for the virtual machine '{resource.name}'."
            raise RefusedError(409, "OperationNotAllowed", message)
        start = f"{self.base}/console/{resource.hidden['vmId']}"
        query = "sv=2018-03-28&sr=b&sig=c2lnbmF0dXJl&se=2099-01-01T00%3A00%3A00Z&sp=r"
        uris = {
            "consoleScreenshotBlobUri": f"{start}/screenshot.bmp?{query}",
            "serialConsoleLogBlobUri": f"{start}/serialconsole.log?{query}",
        }
        return Answer(200, uris)

    def _evicted(self, resource: Resource) -> Answer:
        if resource.properties.get("priority") != "Spot":
            message = "Operation 'simulateEviction' is allowed only for Spot Virtual Machines"
            raise RefusedError(409, "OperationNotAllowed", message)
        if resource.properties.get("evictionPolicy") == "Delete":
            resource.hidden["evicted"] = True
            self.remove(resource, self.account.times["vm_delete"])
        else:
            resource.hidden["power"] = "deallocated"
        return Answer(204)

    def delete(self, request: Request) -> Answer:
        """DELETE: replaces a running operation."""
        resource = self.account.find(request.target.id)
        if resource is None:
            return self.absent_for_delete(request)
        if not resource.deleting:
            self.account.operations.preempt(resource.operation)
            self.remove(resource, self.account.times["vm_delete"], request.operation_fault)
        headers = self.follow(request, resource.operation, location=True) if resource.operation else {}
        return Answer(202, None, {**headers, "Retry-After": "10"})

    def remove(self, resource: Resource, seconds: float, fault: Fault | None = None) -> None:
        """Begin to delete a VM, and then what its deleteOptions name."""
        resource.state = "Deleting"
        self.start(
            resource,
            "VirtualMachines.Delete",
            seconds,
            fault,
            finish=lambda: self._gone(resource),
            failed=lambda: self._failed(resource),
            pause="10",
        )

    def _gone(self, resource: Resource) -> None:
        self.account.drop(resource.id)
        storage, later = resource.properties["storageProfile"], self.account.times["cascade"]
        for options, (_, id) in zip([storage["osDisk"], *storage["dataDisks"]], resource.hidden["disks"], strict=True):
            disk = self.account.find(id)
            if disk is not None:
                disk.hidden.pop("vm", None)
                if options.get("deleteOption") == "Delete":
                    self.disks.remove(disk, later)
        for named in resource.properties["networkProfile"]["networkInterfaces"]:
            nic = self.account.find(named["id"])
            if nic is None:
                continue
            for part in ("virtualMachine", "primary", "macAddress"):
                nic.properties.pop(part, None)
            self.nics.touch(nic)
            if (named.get("properties") or {}).get("deleteOption") == "Delete" and not nic.deleting:
                self.nics.remove(nic, later)

    def console(self, machine: str) -> str | None:
        """The console output of the VM with this vmId; None if it does not exist."""
        for resource in self.account.of_type(self.type):
            if resource.hidden["vmId"] == machine:
                return str(resource.hidden.get("console", f"[    0.000000] Linux version\n{resource.name} login: "))
        return None


def _conflict() -> RefusedError:
    message = (
        "The request failed due to conflict with a concurrent request. To resolve it, please refer to "
        "https://aka.ms/activitylog to get more details on the conflicting requests."
    )
    return RefusedError(409, "Conflict", message)


def _mac(guid: str, number: int) -> str:
    word = f"{int(guid[:6], 16) ^ number:06X}"
    return "-".join(("00", "0D", "3A", word[:2], word[2:4], word[4:6]))
