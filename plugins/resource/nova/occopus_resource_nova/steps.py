"""The steps that make an instance, and those that remove it; none of them waits."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from keystoneauth1.exceptions import HttpError

from occopus_core.api import (
    CreateRequest,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    TransientError,
)
from occopus_resource_nova import marks, order
from occopus_resource_nova.cloud import Cloud, Thing, url_part
from occopus_resource_nova.errors import is_no_room
from occopus_resource_nova.floating import Floating
from occopus_resource_nova.inventory import Inventory
from occopus_resource_nova.view import Parts, has_floating_ip, in_use, instance, no_room, ran, users

_UNDER_WAY = (InstanceState.PENDING, InstanceState.READY)
_DELETABLE = ("available", "error", "error_deleting", "error_restoring", "error_extending", "error_managing")
_NOT_THERE = ("not found", "could not be found", "unable to find", "invalid key_name")
_MEANT = (
    ("security group", "security_groups"),
    ("security_group", "security_groups"),
    ("image", "image_id"),
    ("flavor", "flavor_name"),
    ("network", "network_id"),
    ("key", "key_name"),
)


class Steps:
    """Makes and removes instances in one account. Keeps no state between calls."""

    def __init__(self, cloud: Cloud, inventory: Inventory) -> None:
        self._cloud = cloud
        self._inventory = inventory
        self._floating = Floating(cloud, inventory)

    # Creation

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for errors that can be found without a call."""
        order.check(request)

    def next(self, request: CreateRequest) -> Instance:
        """Do the steps that are possible now; PROVISIONING while more remain. Raises `ProviderError`."""
        parts = self._servers(request.token)
        try:
            return self._go_on(request, parts)
        except ProviderError as error:
            error.unreached = False  # the cloud was reached before: something may have been made
            raise

    def _go_on(self, request: CreateRequest, parts: Parts) -> Instance:
        if parts.server is not None:
            self._settle(parts)
            return self._finish(request, parts)
        volume_id = None
        if order.wants_volume(request.resource):
            parts.volumes = self._inventory.volumes(request.token)
            if parts.volume is None:
                return self._begin_volume(request)
            if parts.volume["status"] != "available":
                return self._wait_for_volume(request, parts)
            volume_id = parts.volume["id"]
        return self._begin_server(request, volume_id)

    def _servers(self, token: str) -> Parts:
        return self._inventory.servers([token])[token]

    def _begin_volume(self, request: CreateRequest) -> Instance:
        body = order.volume_body(request, self._found(request))
        self._look_for_access(request)
        volume = self._cloud.unwrapped(self._cloud.send("block-storage", "POST", "/volumes", body), "volume")
        return instance(request.token, Parts(volumes=[volume]))

    def _wait_for_volume(self, request: CreateRequest, parts: Parts) -> Instance:
        """Wait for the volume; a failed one has its reason in a separate list.

        Raises `QuotaError` if Cinder has no capacity.
        """
        made = instance(request.token, parts)
        if made.state is not InstanceState.FAILED or parts.volume is None:
            return made
        query = {"resource_uuid": parts.volume["id"]}
        said = [each["user_message"] for each in self._cloud.pages("block-storage", "/messages", "messages", query)]
        reason = ": ".join([made.reason, *said])
        if is_no_room(reason):
            raise QuotaError(f"OpenStack at {request.resource.get('endpoint')}: {reason}")
        return replace(made, reason=reason)

    def _begin_server(self, request: CreateRequest, volume_id: str | None) -> Instance:
        body = order.server_body(request, self._found(request), volume_id)
        try:
            self._cloud.send("compute", "POST", "/servers", body)
        except ProviderError as error:
            raise _naming(error, request) from error.__cause__
        parts = self._servers(request.token)
        self._settle(parts)
        return self._finish(request, parts)

    def _settle(self, parts: Parts) -> None:
        """Delete surplus servers of a token, made by a call whose answer was lost: only the one that counts stays."""
        for server in parts.servers:
            if server is not parts.server:
                self._cloud.delete("compute", f"/servers/{server['id']}")

    def _found(self, request: CreateRequest) -> order.Found:
        """Look up everything that the description names, before anything is made. Raises `NotFoundError`."""
        resource, find = request.resource, self._cloud.find
        network = resource.get("network_id")
        self._floating.look_for_pool(resource)
        return order.Found(
            find("image", "/images", "image", str(resource["image_id"]), "image_id"),
            find("compute", "/flavors", "flavor", str(resource["flavor_name"]), "flavor_name"),
            find("network", "/networks", "network", str(network), "network_id") if network else None,
        )

    def _look_for_access(self, request: CreateRequest) -> None:
        """Look up what Nova itself checks only after the volume has been made. Raises `NotFoundError`."""
        resource = request.resource
        if "key_name" in resource:
            self._cloud.get(
                "compute", f"/os-keypairs/{url_part(str(resource['key_name']), 'key_name')}", key="key_name"
            )
        for name in resource.get("security_groups") or ():
            self._cloud.find("network", "/security-groups", "security_group", str(name), "security_groups")

    def _finish(self, request: CreateRequest, parts: Parts) -> Instance:
        """Add the parts that a server needs."""
        server, made = parts.server, instance(request.token, parts)
        if server is None:
            return replace(made, state=InstanceState.PENDING)
        if no_room(server):
            raise QuotaError(f"OpenStack at {request.resource.get('endpoint')}: {no_room(server)}")
        if made.state not in _UNDER_WAY:
            return made
        wants_address = order.wants_floating_ip(request.resource) and not has_floating_ip(server)
        if wants_address:
            self._floating.give(request, server)
        return (
            replace(made, state=InstanceState.PROVISIONING) if wants_address or self._keeping(request, made) else made
        )

    def _keeping(self, request: CreateRequest, made: Instance) -> bool:
        """A persistent volume belongs to Occopus until the server runs: then it contains the user's data."""
        if not (order.wants_volume(request.resource) and order.persists(request.resource)):
            return False
        if made.state is not InstanceState.READY:
            return True
        for volume in self._inventory.volumes(request.token):
            self._keep(volume)
        return False

    def _keep(self, volume: Thing) -> None:
        left = {**marks.without_marks(volume["metadata"]), "kept-by": marks.OURS}
        self._cloud.send("block-storage", "PUT", f"/volumes/{volume['id']}/metadata", {"metadata": left})

    # Removal

    def remove(self, ids: Sequence[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """Start or continue the removal; the failure of one does not stop the others. Raises `ProviderError`."""
        servers, helpers = self._inventory.servers(ids), self._inventory.helpers(ids)
        results: dict[InstanceId, ProviderError | None] = {}
        for id in ids:
            parts = replace(helpers[id], servers=servers[id].servers)
            try:
                self._remove(parts)
                results[id] = None
            except ProviderError as error:
                results[id] = error
                if _unanswered(error):  # the other calls would wait just as long
                    return {**dict.fromkeys(ids, error), **results}
        return results

    def _remove(self, parts: Parts) -> None:
        """Delete floating IPs and servers; a volume follows once its server is gone."""
        for floating_ip in parts.floating_ips:
            self._cloud.delete("network", f"/floatingips/{floating_ip['id']}")
        for volume in parts.volumes:
            if marks.PERSIST in volume["metadata"] and any(map(ran, parts.servers)):
                self._keep(volume)
            elif not parts.servers and volume["status"] in _DELETABLE:
                self._cloud.delete("block-storage", f"/volumes/{volume['id']}")
            elif not parts.servers and volume["status"] == "in-use":
                self._look_for_users(volume)
        for server in parts.servers:
            self._cloud.delete("compute", f"/servers/{server['id']}")

    def _look_for_users(self, volume: Thing) -> None:
        """Raises `PermanentError` if another server uses the volume. Our own may still be detaching it."""
        for id in users(volume):
            with contextlib.suppress(NotFoundError):
                server = self._cloud.get("compute", f"/servers/{id}", key="volume_size")["server"]
                if marks.written(server["metadata"]) != marks.written(volume["metadata"]):
                    raise PermanentError(f"{in_use(volume)}: detach it, and it can be deleted")


def _unanswered(error: ProviderError) -> bool:
    return isinstance(error, TransientError) and not isinstance(error.__cause__, HttpError)


def _naming(error: ProviderError, request: CreateRequest) -> ProviderError:
    """The refusal of a server, with the key of the description that it concerns, if known."""
    message = error.message.lower()
    ambiguous = "multiple" in message
    if not ambiguous and not any(words in message for words in _NOT_THERE):
        return error
    for word, key in _MEANT:
        if word in message and (ambiguous or key in request.resource):
            kind = PermanentError if ambiguous else NotFoundError
            return kind(f"{error.message} (resource.{key})", request_id=error.request_id)
    return error
