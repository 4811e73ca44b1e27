"""The resource handler of virtual machines on Azure."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import (
    Connection,
    ContextForm,
    CreateRequest,
    Feature,
    Instance,
    InstanceId,
    Owner,
    ProviderError,
    ResourceHandler,
    load_schema,
)


class AzureVmHandler(ResourceHandler):
    """One resource group of one subscription. The id of an instance is its token."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint", "subscription_id", "resource_group")
    harmless_keys: ClassVar[tuple[str, ...]] = ("subscription_id", "resource_group")
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.LOGS, Feature.STOP})
    max_concurrency: ClassVar[int] = 8
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 15.0)
    consistency_window: ClassVar[float] = 15.0

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import the SDK.
        from occopus_resource_azure.cloud import Cloud  # noqa: PLC0415
        from occopus_resource_azure.vm.inventory import Inventory  # noqa: PLC0415
        from occopus_resource_azure.vm.logs import Logs  # noqa: PLC0415
        from occopus_resource_azure.vm.making import Making  # noqa: PLC0415
        from occopus_resource_azure.vm.removal import Removal  # noqa: PLC0415

        super().__init__(connection)
        group = str(connection.settings.get("resource_group") or "") or None
        cloud = Cloud(connection, 2 * self.max_concurrency, ("compute", "network", "resources"))
        self._inventory = Inventory(cloud, group)
        self._making = Making(cloud, self._inventory, group)
        self._removal = Removal(cloud, self._inventory)
        self._logs = Logs(cloud, self._inventory)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `azure_vm`."""
        return load_schema("occopus_resource_azure.vm")

    @classmethod
    def powers(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """A managed identity."""
        if "identity" not in resource:
            return ()
        return ("identity: users of the instance have the permissions of its managed identity in the subscription",)

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for an invalid value, and for too much custom data."""
        from occopus_resource_azure import values  # noqa: PLC0415
        from occopus_resource_azure.vm import order  # noqa: PLC0415

        values.refuse_bad_names(request.resource, self.schema())
        order.check(request)

    def create(self, request: CreateRequest) -> Instance:
        """Do the next step of network, address, interface, machine; idempotent by token. Raises `ProviderError`."""
        from occopus_resource_azure import values  # noqa: PLC0415

        values.refuse_bad_names(request.resource, self.schema())
        return self._making.next(request)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """Four lists for any number of ids; four more where an id has no machine. Raises `ProviderError`."""
        return self._inventory.describe(ids) if ids else {}

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """Everything with the owner's tags: a list for each kind of resource. Raises `ProviderError`."""
        yield from self._inventory.listed(owner)

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """The machine with the parts deleted with it, then the remaining parts; idempotent. Raises `ProviderError`."""
        return self._removal.remove(ids) if ids else {}

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Shut the operating systems down; idempotent. Raises `ProviderError`."""
        return self._removal.stop(ids) if ids else {}

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """The end of the serial console's log, from boot diagnostics. Raises `ProviderError`."""
        return self._logs.last(ids, lines)
