"""Resource groups that were made for one instance."""

from __future__ import annotations

from occopus_core.api import PermanentError
from occopus_resource_azure.cloud import Cloud
from occopus_resource_azure.connect import Clients
from occopus_resource_azure.steps import DELETING, state
from occopus_resource_azure.tags import Thing

_SHOWN = 5


class Groups:
    """Deletes resource groups made for one instance, and only empty ones."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def delete(self, group: Thing) -> None:
        """Start the deletion of an empty group. Raises `PermanentError` if the group is not empty."""
        if state(group) == DELETING:
            return
        name = str(group["name"])
        left = self._cloud.listed(lambda clients: clients.resources.resources.list_by_resource_group(name))
        strange = [str(each.get("name")) for each in left if str(each.get("name")).lower() != name.lower()]
        if left and not strange:
            return  # the list shows deleted resources for a while; the core asks again
        if strange:
            names = ", ".join(strange[:_SHOWN])
            raise PermanentError(
                f"the resource group '{name}', which was made for this instance, holds {names}: move or delete it"
            )

        def ask(clients: Clients) -> Thing:
            clients.resources.resource_groups.begin_delete(name, polling=False)
            return {}

        self._cloud.find(ask)
