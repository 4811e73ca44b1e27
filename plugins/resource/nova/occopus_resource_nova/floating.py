"""Floating IPs: one that is free in the project, or else one allocated from the pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from occopus_core.api import CreateRequest, NotFoundError
from occopus_resource_nova import marks, order
from occopus_resource_nova.cloud import Cloud, Thing
from occopus_resource_nova.inventory import Inventory

_POOL = "floating_ip_pool"


class Floating:
    """Gives floating IPs to servers. What we allocate has owner and token in its description; a found one has not."""

    def __init__(self, cloud: Cloud, inventory: Inventory) -> None:
        self._cloud = cloud
        self._inventory = inventory

    def give(self, request: CreateRequest, server: Thing) -> None:
        """See to it that the server has one; nothing where it has no port yet. Raises `ProviderError`."""
        port = self._port(server)
        if port is None:
            return
        known = list(self._inventory.floating_ips())
        if any(each["port_id"] == port["id"] for each in known):
            return
        pool = self._pool(request.resource)
        mine = [each for each in known if marks.described(each["description"])[1] == request.token]
        free = next(iter([*mine, *_free(known, pool)]), None)
        if free is None:
            self._allocate(request, port, pool)
        else:
            self._take(free, port)

    def look_for_pool(self, resource: Mapping[str, Any]) -> None:
        """See to it, before anything is made, that there is what `give` will need. Raises `NotFoundError`."""
        if order.wants_floating_ip(resource):
            self._pool(resource)

    def _port(self, server: Thing) -> Thing | None:
        # Of several ports the first that the server has an address at.
        ports = self._cloud.pages("network", "/ports", "ports", {"device_id": server["id"]})
        return next((port for port in ports if port["fixed_ips"]), None)

    def _pool(self, resource: Mapping[str, Any]) -> Thing:
        """The external network that is named, or the only sort there is. Raises `NotFoundError`."""
        if resource.get(_POOL):
            return self._cloud.find("network", "/networks", "network", str(resource[_POOL]), _POOL)
        found = next(iter(self._cloud.pages("network", "/networks", "networks", {"router:external": True})), None)
        if found is None:
            raise NotFoundError("resource.floating_ip: the cloud has no external network to take one from")
        return found

    def _allocate(self, request: CreateRequest, port: Thing, pool: Thing) -> None:
        wanted = {
            "floating_network_id": pool["id"],
            "port_id": port["id"],
            "description": marks.description(request.owner, request.token),
        }
        self._cloud.send("network", "POST", "/floatingips", {"floatingip": wanted}, key=_POOL)

    def _take(self, free: Thing, port: Thing) -> None:
        # Whoever was quicker has raised the number: Neutron then refuses, and the next call looks again.
        seen = {"If-Match": f"revision_number={free['revision_number']}"} if "revision_number" in free else {}
        body = {"floatingip": {"port_id": port["id"]}}
        self._cloud.send("network", "PUT", f"/floatingips/{free['id']}", body, headers=seen)


def _free(known: Iterable[Thing], pool: Thing) -> list[Thing]:
    """The unused ones of the pool, except those that an Occopus allocated for another server."""
    return [
        each
        for each in known
        if each["port_id"] is None
        and each["floating_network_id"] == pool["id"]
        and not (each["description"] or "").startswith(f"{marks.OURS} ")
    ]
