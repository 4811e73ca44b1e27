"""The steps that make a machine; none of them waits."""

from __future__ import annotations

from occopus_core.api import (
    CreateRequest,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
)
from occopus_resource_azure import tags
from occopus_resource_azure.cloud import Cloud, raw
from occopus_resource_azure.errors import LaterError
from occopus_resource_azure.steps import DONE, FAILED, Steps, Target, half_made, state, subnet_name, vnet_body
from occopus_resource_azure.tags import Thing
from occopus_resource_azure.vm import order
from occopus_resource_azure.vm.images import Images
from occopus_resource_azure.vm.inventory import Inventory
from occopus_resource_azure.vm.view import Network, Parts, instance, no_room


class Making:
    """Makes machines in one subscription. Keeps no state between calls."""

    def __init__(self, cloud: Cloud, inventory: Inventory, group: str | None) -> None:
        self._cloud = cloud
        self._inventory = inventory
        self._group = group
        self._images = Images(cloud)
        self._steps = Steps(cloud, order.TYPE)

    def next(self, request: CreateRequest) -> Instance:
        """Do the steps that are possible now; PROVISIONING while more remain. Raises `ProviderError`."""
        vm = self._inventory.machine(request.token)
        try:
            return self._continue(request) if vm is None else self._made(request, vm)
        except LaterError as error:
            return half_made(request, f"waiting: {error.message}")
        except ProviderError as error:
            error.unreached = False  # an earlier request was answered, so something may have been made
            raise

    def _made(self, request: CreateRequest, vm: Thing) -> Instance:
        """The state of an existing machine. Raises `QuotaError` if Azure had no capacity for it."""
        if tags.token(vm, order.TYPE) != request.token:
            raise PermanentError(f"there is a virtual machine '{vm.get('name')}' that Occopus has not made")
        if no_room(vm):
            raise QuotaError(f"{self._cloud.where}: {no_room(vm)}")
        found = self._inventory.describe([InstanceId(request.token)])[InstanceId(request.token)]
        if found.state is InstanceState.ABSENT:  # too new for lists
            return instance(request.token, Parts(vms=[vm]), Network({}, {}))
        return found

    def _continue(self, request: CreateRequest) -> Instance:
        target = Target.of(request.token, self._group)
        nic = self._given_nic(request, target) if request.resource.get("nic_name") else self._nic(request, target)
        if nic is None:
            return half_made(request, "its network is being made")
        if state(nic) != DONE:
            return half_made(request, "its network interface is being made")
        self._mark(request, target)
        body = order.vm_body(request, str(nic["id"]))
        vm = self._steps.put(lambda clients: clients.compute.virtual_machines, target, body)
        return instance(request.token, Parts(vms=[vm]), Network({}, {}))

    def _mark(self, request: CreateRequest, target: Target) -> None:
        if not _uses_given_network(request):
            self._steps.mark(request, lambda clients: clients.network.virtual_networks, target)
        elif order.is_public(request.resource):
            self._steps.mark(request, lambda clients: clients.network.network_security_groups, target)

    def _given_nic(self, request: CreateRequest, target: Target) -> Thing:
        self._images.look_for(request.resource)
        name = str(request.resource["nic_name"])
        return self._cloud.call(
            lambda clients: clients.network.network_interfaces.get(target.group, name, cls=raw), "nic_name"
        )

    def _nic(self, request: CreateRequest, target: Target) -> Thing | None:
        """The interface; until its requirements exist, make those that can be made now and return None."""
        nic = self._steps.found(lambda clients: clients.network.network_interfaces, target)
        if nic is not None and state(nic) != FAILED:
            return nic
        self._images.look_for(request.resource)
        subnet = self._subnet(request, target)
        if subnet is None:
            return None
        public = order.is_public(request.resource)
        ip = self._steps.found(lambda clients: clients.network.public_ip_addresses, target) if public else None
        if public and (ip is None or state(ip) == FAILED):
            self._make_address(request, target)
            return None
        body = order.nic_body(request, subnet, ip)
        try:
            return self._steps.put(lambda clients: clients.network.network_interfaces, target, body)
        except NotFoundError:
            if not public:
                raise
            self._make_address(request, target)  # a part of it was deleted in the meantime
            return None

    def _subnet(self, request: CreateRequest, target: Target) -> str | None:
        """The id of the subnet; None if its network has just been requested, with everything else."""
        if _uses_given_network(request):
            return str(self._steps.given_subnet(request, target)["id"])
        vnet = self._steps.found(lambda clients: clients.network.virtual_networks, target)
        if vnet is not None and state(vnet) != FAILED:
            return f"{vnet['id']}/subnets/{subnet_name(request.resource)}"
        if self._group is None:
            self._steps.put_group(request, target)
        if order.is_public(request.resource):
            self._make_address(request, target)
        self._steps.put(lambda clients: clients.network.virtual_networks, target, vnet_body(request, order.TYPE))
        return None

    def _make_address(self, request: CreateRequest, target: Target) -> None:
        """Make the public address, after its rules: an existing address thus has its rules."""
        self._steps.put(lambda clients: clients.network.network_security_groups, target, order.nsg_body(request))
        self._steps.put(lambda clients: clients.network.public_ip_addresses, target, order.ip_body(request))


def _uses_given_network(request: CreateRequest) -> bool:
    return bool(request.resource.get("vnet_name") or request.resource.get("nic_name"))
