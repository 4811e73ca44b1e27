"""The steps that remove an instance: machine, then interface and disk, then what these used; none of them waits."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.api import Instance, InstanceId, InstanceState, PermanentError, ProviderError
from occopus_resource_azure import tags
from occopus_resource_azure.cloud import Cloud
from occopus_resource_azure.groups import Groups
from occopus_resource_azure.removing import ask, delete, each
from occopus_resource_azure.tags import Thing
from occopus_resource_azure.vm.inventory import Inventory
from occopus_resource_azure.vm.view import Parts

_RUNNING = (InstanceState.PENDING, InstanceState.READY, InstanceState.UNKNOWN)


class Removal:
    """Removes machines from one subscription, with what was made for them and nothing else."""

    def __init__(self, cloud: Cloud, inventory: Inventory) -> None:
        self._cloud = cloud
        self._inventory = inventory
        self._groups = Groups(cloud)

    def remove(self, ids: Sequence[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """Start or continue the removal; the failure of one does not stop the others. Raises `ProviderError`."""
        return each(ids, self._inventory.parts(ids), self._remove)

    def stop(self, ids: Sequence[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """Ask the operating systems to shut down; an absent, stopped or stopping one is a success."""
        return each(ids, self._inventory.describe(ids), self._stop)

    def _stop(self, instance: Instance) -> None:
        if instance.state not in _RUNNING or instance.raw_state.endswith("/stopping"):
            return
        ask(
            self._cloud,
            lambda clients, place: clients.compute.virtual_machines.begin_power_off(
                *place, skip_shutdown=False, polling=False
            ),
            self._inventory.place(instance.id),
        )

    def _remove(self, parts: Parts) -> None:
        """Delete one layer of parts. Untagged parts go before the last tagged one, so none becomes untraceable."""
        if parts.vms:
            delete(self._cloud, parts.vms, lambda clients: clients.compute.virtual_machines)
        elif parts.nics or parts.disks:
            delete(self._cloud, parts.nics, lambda clients: clients.network.network_interfaces)
            delete(self._cloud, [_free(disk) for disk in parts.disks], lambda clients: clients.compute.disks)
        elif parts.ips or parts.nsgs or parts.vnets:
            delete(self._cloud, parts.ips, lambda clients: clients.network.public_ip_addresses)
            delete(self._cloud, parts.nsgs, lambda clients: clients.network.network_security_groups)
            delete(self._cloud, parts.vnets, lambda clients: clients.network.virtual_networks)
        else:
            for group in parts.groups:
                self._groups.delete(group)


def _free(disk: Thing) -> Thing:
    """Raises `PermanentError` if another machine now uses the disk, so that it is not deleted."""
    user = str(disk.get("managedBy") or "")
    if user and tags.place({"id": user})[1].lower() != tags.place(disk)[1].lower():
        raise PermanentError(f"its disk is attached to {user}: detach it, and it can be deleted")
    return disk
