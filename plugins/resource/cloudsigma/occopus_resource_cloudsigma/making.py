"""The steps that make an instance: clone its drive, make and start its server. None of them waits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from occopus_core.api import (
    CreateRequest,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    PermanentError,
    ProviderError,
    TransientError,
)
from occopus_resource_cloudsigma import order
from occopus_resource_cloudsigma.client import Client
from occopus_resource_cloudsigma.errors import StateError
from occopus_resource_cloudsigma.inventory import Inventory
from occopus_resource_cloudsigma.marks import Thing, is_marked, is_used, marks, meta, used
from occopus_resource_cloudsigma.removing import discard_drive, discard_server
from occopus_resource_cloudsigma.view import READY_DRIVE, STOPPED, Parts, instance, mounted, users


class Making:
    """Makes instances in one account. Keeps no state between calls."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for errors that can be found without a call."""
        order.check(request)

    def next(self, request: CreateRequest) -> Instance:
        """Do the steps that are possible now; PROVISIONING while more remain. Raises `ProviderError`."""
        with self._client.reading():
            parts = self._inventory.of(request.token, order.server_name(request))
            try:
                return self._go_on(request, parts)
            except ProviderError as error:
                error.unreached = False  # an earlier call was answered, and may have made something
                raise

    def _go_on(self, request: CreateRequest, parts: Parts) -> Instance:
        if parts.servers:
            return self._finish(request, parts)
        drive = parts.drive
        if drive is None:
            return self._clone(request)
        self._discard_spare_drives(parts, [drive["uuid"]])
        if drive.get("status") != READY_DRIVE:
            return instance(request.token, parts)
        size = order.drive_size(request.resource)
        if size is not None and drive["size"] < size:
            return self._resize(request, drive, size)
        return self._make_server(request, drive)

    def _clone(self, request: CreateRequest) -> Instance:
        answer = self._client.act(
            f"/drives/{order.drive_part(request.resource)}/",
            "clone",
            order.clone_body(request),
            key="resource.libdrive_id",
        )
        parts = Parts(drives=[self._client.only(answer)])
        self._inventory.expect(request.token, parts)
        return replace(instance(request.token, parts), state=InstanceState.PROVISIONING)

    def _resize(self, request: CreateRequest, drive: Thing, size: int) -> Instance:
        """Enlarge a clone that was made smaller than requested."""
        answer = self._client.act(f"/drives/{drive['uuid']}/", "resize", {**drive, "size": size})
        return instance(request.token, Parts(drives=[self._client.only(answer)]))

    def _make_server(self, request: CreateRequest, drive: Thing) -> Instance:
        """Make the server; the drive is marked as used before.

        The mark distinguishes a drive whose server was deleted from one whose server is not created yet.
        """
        body = order.server_body(request, drive)
        try:
            if not (is_used(drive) and is_marked(drive)):
                own = {} if is_marked(drive) else marks(request.owner, request.token)
                new = {**drive, "meta": {**meta(drive), **own, **used()}}
                self._client.send("PUT", f"/drives/{drive['uuid']}/", new)
            self._client.only(self._client.send("POST", "/servers/", body, key=order.DESCRIPTION))
        except (NotFoundError, PermanentError):
            if self._is_free(request, drive):
                raise
            return Instance(
                InstanceId(request.token),
                InstanceState.PROVISIONING,
                token=request.token,
                owner=request.owner,
                reason="another call used or deleted its drive",
            )
        # A call whose answer was lost may have made another server: only one may be started with the drive.
        servers = self._inventory.servers_of(request.token, order.server_name(request), [drive])
        parts = Parts(servers, [drive])
        if not servers:
            return instance(request.token, parts)  # not listed yet
        return self._finish(request, parts)

    def _is_free(self, request: CreateRequest, drive: Thing) -> bool:
        """False if another call for the token has used or deleted the drive since it was read."""
        now = self._inventory.of(request.token, order.server_name(request))
        return not now.servers and any(one["uuid"] == drive["uuid"] and not users(one) for one in now.drives)

    def _finish(self, request: CreateRequest, parts: Parts) -> Instance:
        """Start the server once it is the only one, and has the only drive."""
        server = parts.server
        assert server is not None, "an instance with servers has one that counts"
        self._discard_spare_drives(parts, mounted(server))
        spare = [one for one in parts.servers if one is not server]
        for one in spare:
            discard_server(self._client, one)
        made = instance(request.token, parts)
        if spare:
            return replace(made, state=InstanceState.PROVISIONING, reason="another server of a lost call is deleted")
        if server.get("status") != STOPPED:
            return made
        self._start(server)
        return replace(made, state=InstanceState.PROVISIONING, reason="its server was asked to start")

    def _discard_spare_drives(self, parts: Parts, kept: Collection[str]) -> None:
        for drive in parts.drives:
            if drive["uuid"] not in kept:
                discard_drive(self._client, drive)

    def _start(self, server: Thing) -> None:
        try:
            self._client.act(f"/servers/{server['uuid']}/", "start")
        except StateError:
            return  # it is starting
        except NotFoundError as error:
            raise TransientError(f"{error.message}: the server went away before it was started") from error
