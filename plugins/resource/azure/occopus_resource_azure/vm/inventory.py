"""Finds the parts of machines by token or by owner, in lists of a resource group that are filtered here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from occopus_core.api import AuthError, Instance, InstanceId, Owner
from occopus_resource_azure import tags
from occopus_resource_azure.cloud import Cloud, raw
from occopus_resource_azure.connect import Clients
from occopus_resource_azure.steps import Target
from occopus_resource_azure.tags import Thing
from occopus_resource_azure.vm.order import TYPE
from occopus_resource_azure.vm.view import Network, Parts, instance, nic_ids

_AT_ONCE = 8
"""Concurrent requests for the states of single machines."""


class Inventory:
    """The content of one resource group, or of the subscription if each instance has its own group."""

    def __init__(self, cloud: Cloud, group: str | None) -> None:
        self._cloud = cloud
        self._group = group

    def describe(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Instance]:
        """Four lists for any number of machines; four more if an id has none. Raises `ProviderError`."""
        parts = self._machines(ids)
        network = self._network(parts)
        missing = [id for id in ids if not parts[id].vms]
        if missing:
            for id, found in self._helpers(missing, network).items():
                parts[id] = self._confirmed(id, found)
        return {id: instance(id, parts[id], network) for id in ids}

    def listed(self, owner: Owner) -> Iterator[Instance]:
        """Everything of this owner, unfinished instances included. Raises `ProviderError` when iterated."""
        found = self._everything(with_states=True)
        network = self._network(found)
        for token, parts in found.items():
            whose = parts.whose()
            if whose is not None and owner.matches(whose):
                yield instance(token, parts, network)

    def parts(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Parts]:
        """All parts that these tokens have made. Raises `ProviderError`."""
        found = self._everything()
        disks = self._disks(ids)
        for id in ids:
            found.setdefault(id, Parts()).disks = disks.get(id, [])
        return {id: found[id] for id in ids}

    def machine(self, token: str) -> Thing | None:
        """The machine of a token, with its state; None if it does not exist. Raises `ProviderError`."""
        group, name = self.place(token)
        return self._cloud.find(
            lambda clients: clients.compute.virtual_machines.get(group, name, expand="instanceView", cls=raw)
        )

    def place(self, token: str) -> tuple[str, str]:
        """The resource group and the name of a token's parts."""
        target = Target.of(token, self._group)
        return target.group, target.name

    # Lists

    def _machines(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Parts]:
        """The machines with these tokens, each with its state."""
        found = tags.by_token(self._all("compute", "virtual_machines"), TYPE)
        machines = [vm for id in ids for vm in found.get(id, ())]
        self._add_states(machines)
        return {id: Parts(vms=found.get(id, [])) for id in ids}

    def _add_states(self, machines: Sequence[Thing]) -> None:
        """Add states.

        The list of a resource group lacks them; that of the subscription has them, but needs permission.
        """
        if not machines:
            return
        try:
            listed = self._cloud.listed(lambda clients: clients.compute.virtual_machines.list_all(status_only="true"))
        except AuthError:  # the role covers the resource group only: one request for each
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                listed = [vm for vm in threads.map(self._state, machines) if vm is not None]
        views = {str(vm["id"]).lower(): (vm.get("properties") or {}).get("instanceView") for vm in listed}
        for vm in machines:
            vm["properties"]["instanceView"] = views.get(str(vm["id"]).lower())

    def _state(self, vm: Thing) -> Thing | None:
        group, name = tags.place(vm)
        return self._cloud.find(
            lambda clients: clients.compute.virtual_machines.get(group, name, expand="instanceView", cls=raw)
        )

    def _network(self, parts: dict[InstanceId, Parts]) -> Network:
        """The interfaces, and the public addresses if an interface has one."""
        if not parts:
            return Network({}, {})
        nics = _by_id(self._all("network", "network_interfaces"))
        used = [nics[id] for each in parts.values() for vm in each.vms for id in nic_ids(vm) if id in nics]
        public = any(
            (one.get("properties") or {}).get("publicIPAddress")
            for nic in used
            for one in nic["properties"].get("ipConfigurations") or ()
        )
        return Network(nics, _by_id(self._all("network", "public_ip_addresses")) if public else {})

    def _helpers(self, ids: Sequence[InstanceId], network: Network) -> dict[InstanceId, Parts]:
        """Parts of instances without a machine."""
        ips = list(network.ips.values()) or self._all("network", "public_ip_addresses")
        found = _sorted_out(nics=list(network.nics.values()), ips=ips, **self._rest())
        disks = self._disks(ids)
        for id in ids:
            found.setdefault(id, Parts()).disks = disks.get(id, [])
        return {id: found[id] for id in ids}

    def _confirmed(self, token: str, parts: Parts) -> Parts:
        """Request a machine by name that was made but is in no list: it may be too new for lists."""
        if any(tags.stage(thing) == tags.MADE for thing in parts.helpers()) and (vm := self.machine(token)):
            parts.vms = [vm]
        return parts

    def _everything(self, *, with_states: bool = False) -> dict[InstanceId, Parts]:
        machines = self._all("compute", "virtual_machines")
        found = _sorted_out(
            vms=machines,
            nics=self._all("network", "network_interfaces"),
            ips=self._all("network", "public_ip_addresses"),
            **self._rest(),
        )
        if with_states:
            self._add_states([vm for parts in found.values() for vm in parts.vms])
        return found

    def _rest(self) -> dict[str, list[Thing]]:
        found = {
            "nsgs": self._all("network", "network_security_groups"),
            "vnets": self._all("network", "virtual_networks"),
        }
        if self._group is None:
            found["groups"] = self._cloud.listed(lambda clients: clients.resources.resource_groups.list())
        return found

    def _disks(self, ids: Sequence[InstanceId]) -> dict[InstanceId, list[Thing]]:
        """Boot disks: Azure makes them with the machine, without tags, under the requested name."""
        tokens = {tags.name(id): id for id in ids}
        found: dict[InstanceId, list[Thing]] = {}
        for disk in self._all("compute", "disks"):
            id = tokens.get(tags.place(disk)[1].lower())
            if id is not None:
                found.setdefault(id, []).append(disk)
        return found

    def _all(self, service: str, kind: str) -> list[Thing]:
        """Every resource of a kind, of any owner."""

        def ask(clients: Clients) -> Any:
            operations = getattr(getattr(clients, service), kind)
            if kind == "disks":
                return operations.list_by_resource_group(self._group) if self._group else operations.list()
            return operations.list(self._group) if self._group else operations.list_all()

        return self._cloud.listed(ask)


def _by_id(things: Iterable[Thing]) -> dict[str, Thing]:
    return {str(thing["id"]).lower(): thing for thing in things}


def _sorted_out(**lists: list[Thing]) -> dict[InstanceId, Parts]:
    found: dict[InstanceId, Parts] = {}
    for kind, things in lists.items():
        for token, made in tags.by_token(things, TYPE).items():
            getattr(found.setdefault(InstanceId(token), Parts()), kind).extend(made)
    return found
