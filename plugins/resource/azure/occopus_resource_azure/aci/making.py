"""The steps that make a container group; none of them waits."""

from __future__ import annotations

from occopus_core.api import CreateRequest, Instance, PermanentError, ProviderError, QuotaError
from occopus_resource_azure import tags
from occopus_resource_azure.aci import order
from occopus_resource_azure.aci.inventory import Inventory
from occopus_resource_azure.aci.view import Parts, instance, no_room
from occopus_resource_azure.cloud import Cloud
from occopus_resource_azure.errors import LaterError
from occopus_resource_azure.steps import DONE, FAILED, Steps, Target, half_made, state, subnet_name, vnet_body
from occopus_resource_azure.tags import Thing


class Making:
    """Makes container groups in one subscription. Keeps no state between calls."""

    def __init__(self, cloud: Cloud, inventory: Inventory, group: str | None) -> None:
        self._cloud = cloud
        self._inventory = inventory
        self._group = group
        self._steps = Steps(cloud, order.TYPE)

    def next(self, request: CreateRequest) -> Instance:
        """Do the steps that are possible now; PROVISIONING while more remain. Raises `ProviderError`."""
        group = self._inventory.container(request.token)
        try:
            return self._continue(request) if group is None else self._made(request, group)
        except LaterError as error:
            return half_made(request, f"waiting: {error.message}")
        except ProviderError as error:
            error.unreached = False  # an earlier request was answered, so something may have been made
            raise

    def _made(self, request: CreateRequest, group: Thing) -> Instance:
        """The state of an existing group. Raises `QuotaError` if Azure had no capacity for it."""
        if tags.token(group, order.TYPE) != request.token:
            raise PermanentError(f"there is a container group '{group.get('name')}' that Occopus has not made")
        if no_room(group):
            raise QuotaError(f"{self._cloud.where}: {no_room(group)}")
        return instance(request.token, Parts(containers=[group]))

    def _continue(self, request: CreateRequest) -> Instance:
        target = Target.of(request.token, self._group)
        subnet = None
        if order.is_private(request.resource):
            subnet = self._subnet(request, target)
            if subnet is None:
                return half_made(request, "its network is being made")
        elif self._group is None:
            self._steps.put_group(request, target, tags.MADE)  # the container group follows at once
        body = order.group_body(request, subnet)
        group = self._steps.put(lambda clients: clients.containers.container_groups, target, body, "image")
        return instance(request.token, Parts(containers=[group]))

    def _subnet(self, request: CreateRequest, target: Target) -> str | None:
        """The id of a subnet delegated to container groups; None while a network of the instance is being made."""
        if request.resource.get("vnet_name"):
            given = self._steps.given_subnet(request, target)
            _look_for_delegation(given)
            return str(given["id"])
        vnet = self._steps.found(lambda clients: clients.network.virtual_networks, target)
        if vnet is None or state(vnet) == FAILED:
            if self._group is None:
                self._steps.put_group(request, target)
            body = vnet_body(request, order.TYPE, delegations=[order.DELEGATION])
            self._steps.put(lambda clients: clients.network.virtual_networks, target, body)
            return None
        if state(vnet) != DONE:
            return None
        self._steps.mark(request, lambda clients: clients.network.virtual_networks, target)
        return f"{vnet['id']}/subnets/{subnet_name(request.resource)}"


def _look_for_delegation(subnet: Thing) -> None:
    """Raises `PermanentError` if the subnet is not delegated to container groups; names the command that does that."""
    delegated = [
        str((each.get("properties") or {}).get("serviceName", "")).lower()
        for each in (subnet.get("properties") or {}).get("delegations") or ()
    ]
    if order.SERVICE.lower() not in delegated:
        raise PermanentError(
            f"resource.subnet_name: '{subnet['name']}' is not delegated to {order.SERVICE}: "
            f"'az network vnet subnet update --delegations {order.SERVICE}' does that"
        )
