"""Floating IPs: a free one of the project, or a new one from the pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from occopus_core.api import CreateRequest, NotFoundError
from occopus_resource_nova import marks, order
from occopus_resource_nova.cloud import Cloud, Thing
from occopus_resource_nova.inventory import Inventory

_POOL = "floating_ip_pool"


class Floating:
    """Gives floating IPs to servers. Those allocated here have owner and token in their description."""

    def __init__(self, cloud: Cloud, inventory: Inventory) -> None:
        self._cloud = cloud
        self._inventory = inventory

    def give(self, request: CreateRequest, server: Thing) -> None:
        """Ensure that the server has one; does nothing while it has no port. Raises `ProviderError`."""
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
        """Check, before anything is made, that `give` will find a pool. Raises `NotFoundError`."""
        if order.wants_floating_ip(resource):
            self._pool(resource)

    def _port(self, server: Thing) -> Thing | None:
        # Of several ports, use the first one on which the server has an address.
        ports = self._cloud.pages("network", "/ports", "ports", {"device_id": server["id"]})
        return next((port for port in ports if port["fixed_ips"]), None)

    def _pool(self, resource: Mapping[str, Any]) -> Thing:
        """The external network of that name, or the only one. Raises `NotFoundError`."""
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
        # Another process that took it has raised the revision: Neutron then refuses, and the next call reads again.
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
