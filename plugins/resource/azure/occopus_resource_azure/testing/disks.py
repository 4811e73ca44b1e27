"""Microsoft.Compute/disks."""

from __future__ import annotations

from typing import ClassVar

from occopus_resource_azure.testing.account import Resource
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.kind import Kind
from occopus_resource_azure.testing.operations import Style
from occopus_resource_azure.testing.wire import Answer, Json, Path, RefusedError, Request

_TIERS = ((32, "P4"), (64, "P6"), (128, "P10"), (256, "P15"), (512, "P20"), (1024, "P30"))


class Disks(Kind):
    """Managed disks, including those that VMs create."""

    type: ClassVar[str] = "Microsoft.Compute/disks"
    style: ClassVar[Style] = "disk"

    def put(self, request: Request) -> Answer:
        """PUT: accepted with 202, and completed a moment later."""
        body, existing = self.began(request)
        region = self.region(body, existing, request.target.names[-1])
        given = body.get("properties") or {}
        if not (given.get("creationData") or {}).get("createOption"):
            message = "Required parameter 'disk.creationData.createOption' is missing (null)."
            raise RefusedError(400, "InvalidParameter", message, target="disk.creationData.createOption")
        tags = self.account.tags(body)
        sku = (body.get("sku") or {}).get("name", "Standard_LRS")
        new: Json = {"location": region, **({} if tags is None else {"tags": tags}), "sku": {"name": sku}}
        if "zones" in body:
            new["zones"] = body["zones"]
        new["properties"] = given
        disk = self.kept(request, existing, new)
        if existing is None:
            disk.hidden.update(unique=self.account.guid(), created=self.account.written(self.account.now()))
        disk.state = "Updating"
        operation = self.start(
            disk,
            "Disks.CreateOrUpdate",
            self.account.times["disk"],
            request.operation_fault,
            finish=lambda: self._settle(disk, "Succeeded"),
            failed=lambda: self._settle(disk, "Failed"),
            output=lambda: self.render(disk),
        )
        accepted = {"name": disk.name, "id": disk.id, "type": self.type, **new}
        accepted["properties"] = {**given, "provisioningState": "Updating"}
        whole = self.render(disk)["properties"]
        if existing is not None and "tier" in whole:
            accepted["properties"]["tier"] = whole["tier"]
        headers = {**self.follow(request, operation, location=True), "Retry-After": "2"}
        return Answer(202, accepted, headers)

    def patch(self, request: Request) -> Answer:
        """PATCH: accepted with 202, like a PUT."""
        disk = self.existing(request)
        body = request.body or {}
        tags = self.account.tags(body)
        if tags is not None:
            disk.body["tags"] = tags
        disk.properties.update(body.get("properties") or {})
        disk.state = "Updating"
        operation = self.start(
            disk,
            "Disks.Update",
            self.account.times["disk"],
            request.operation_fault,
            finish=lambda: self._settle(disk, "Succeeded"),
            failed=lambda: self._settle(disk, "Failed"),
            output=lambda: self.render(disk),
        )
        headers = {**self.follow(request, operation, location=True), "Retry-After": "2"}
        shown = {"name": disk.name, "id": disk.id, "type": self.type, **disk.body}
        shown["sku"] = self.render(disk)["sku"]
        shown["properties"] = {
            "timeCreated": disk.hidden["created"],
            **disk.properties,
            "provisioningState": "Updating",
        }
        return Answer(202, shown, headers)

    def render(self, resource: Resource, expand: str = "") -> Json:
        """The disk with the fields that Azure fills in."""
        del expand
        given, hidden = resource.properties, resource.hidden
        size = given.get("diskSizeGB", 30)
        attached = hidden.get("vm")
        properties: Json = {
            "diskIOPSReadWrite": 500,
            "diskMBpsReadWrite": 60,
            "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
            "networkAccessPolicy": "AllowAll",
            "publicNetworkAccess": "Enabled",
            "timeCreated": hidden["created"],
            "provisioningState": resource.state,
            "diskState": "Attached" if attached else "Unattached",
            "diskSizeBytes": size * 1024**3,
            "uniqueId": hidden["unique"],
            **given,
        }
        sku = str(resource.body["sku"]["name"])
        if sku.startswith("Premium"):
            properties["tier"] = next((tier for limit, tier in _TIERS if size <= limit), "P40")
        made = {**resource.body, "sku": {"name": sku, "tier": sku.partition("_")[0]}, "properties": properties}
        named = {"name": resource.name, "id": resource.id, "type": self.type, **made}
        return {**named, "managedBy": attached} if attached else named

    def missing(self, target: Path) -> RefusedError:
        """The answer for a missing disk: it comes from the compute provider, not from ARM."""
        return RefusedError(404, "NotFound", f"Disk {target.names[-1]} is not found.")

    def delete(self, request: Request) -> Answer:
        """DELETE: refused while it is attached."""
        disk = self.account.find(request.target.id)
        if disk is None:
            return self.absent_for_delete(request)
        attached = disk.hidden.get("vm")
        if attached:
            message = f"Disk {disk.name} is attached to VM {attached}."
            raise RefusedError(409, "OperationNotAllowed", message)
        if not disk.deleting:
            self.remove(disk, self.account.times["disk"], request.operation_fault)
        headers = self.follow(request, disk.operation, location=True) if disk.operation else {}
        return Answer(202, None, headers)

    def remove(self, disk: Resource, seconds: float, fault: Fault | None = None) -> None:
        """Begin to delete a disk."""
        disk.state = "Deleting"
        self.start(
            disk,
            "Disks.Delete",
            seconds,
            fault,
            finish=lambda: self.account.drop(disk.id),
            failed=lambda: self._settle(disk, "Failed"),
        )

    def attach(self, machine: Resource, name: str, size: int, sku: str) -> Resource:
        """Make the disk of a VM. Raises `RefusedError` if the name is taken."""
        id = f"/subscriptions/{self.account.subscription}/resourceGroups/{machine.group}/providers/{self.type}/{name}"
        body: Json = {"location": machine.location, "sku": {"name": sku}}
        for part in ("tags", "zones"):
            if part in machine.body:
                body[part] = machine.body[part]
        body["properties"] = {"creationData": {"createOption": "FromImage"}, "diskSizeGB": size}
        disk = self.account.add(Resource(id, self.type, name, machine.group, body))
        created = self.account.written(self.account.now())
        disk.hidden.update(unique=self.account.guid(), created=created, vm=machine.id)
        return disk

    @staticmethod
    def _settle(disk: Resource, state: str) -> None:
        disk.state = state
