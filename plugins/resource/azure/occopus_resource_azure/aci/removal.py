"""The steps that remove a container group and then its network; none of them waits."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.api import Instance, InstanceId, InstanceState, NotFoundError, ProviderError
from occopus_resource_azure.aci.inventory import Inventory
from occopus_resource_azure.aci.view import Parts
from occopus_resource_azure.cloud import Cloud, raw_any
from occopus_resource_azure.errors import LaterError
from occopus_resource_azure.groups import Groups
from occopus_resource_azure.removing import ask, delete, each
from occopus_resource_azure.tags import Thing

_RUNNING = (InstanceState.PENDING, InstanceState.READY, InstanceState.UNKNOWN)


class Removal:
    """Removes container groups from one subscription, with what was made for them and nothing else."""

    def __init__(self, cloud: Cloud, inventory: Inventory) -> None:
        self._cloud = cloud
        self._inventory = inventory
        self._groups = Groups(cloud)

    def remove(self, ids: Sequence[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """Start or continue the removal; the failure of one does not stop the others. Raises `ProviderError`."""
        return each(ids, self._inventory.parts(ids), self._remove)

    def stop(self, ids: Sequence[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """Stop the processes; an absent or stopped group is a success."""
        outcome = each(ids, self._inventory.describe(ids), self._stop)
        self._inventory.expire_looks(ids)
        return outcome

    def logs(self, ids: Sequence[InstanceId], lines: int) -> dict[InstanceId, str | None]:
        """The last lines of each; None if it has not been started. Raises `ProviderError`."""
        return {id: self._log(id, lines) for id in ids}

    def _stop(self, instance: Instance) -> None:
        if instance.state in _RUNNING:
            place = self._inventory.place(instance.id)
            ask(self._cloud, lambda clients, place: clients.containers.container_groups.stop(*place), place)

    def _remove(self, parts: Parts) -> None:
        if parts.containers:
            delete(self._cloud, parts.containers, lambda clients: clients.containers.container_groups)
        elif parts.vnets:
            delete(self._cloud, parts.vnets, lambda clients: clients.network.virtual_networks)
        else:
            for group in parts.groups:
                self._groups.delete(group)

    def _log(self, id: InstanceId, lines: int) -> str | None:
        group, name = self._inventory.place(id)
        try:
            found: Thing = self._cloud.call(
                lambda clients: clients.containers.containers.list_logs(group, name, name, tail=lines, cls=raw_any)
            )
        except (NotFoundError, LaterError):
            return None
        content = found.get("content")
        return content if isinstance(content, str) else None
