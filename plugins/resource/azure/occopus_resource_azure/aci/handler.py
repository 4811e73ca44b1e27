"""The resource handler of container groups on Azure."""

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


class AzureAciHandler(ResourceHandler):
    """One resource group of one subscription. The id of an instance is its token."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint", "subscription_id", "resource_group")
    harmless_keys: ClassVar[tuple[str, ...]] = ("subscription_id", "resource_group")
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.PROCESS})
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.LOGS, Feature.STOP})
    max_concurrency: ClassVar[int] = 8
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 15.0)
    consistency_window: ClassVar[float] = 15.0

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import the SDK.
        from occopus_resource_azure.aci.inventory import Inventory  # noqa: PLC0415
        from occopus_resource_azure.aci.making import Making  # noqa: PLC0415
        from occopus_resource_azure.aci.removal import Removal  # noqa: PLC0415
        from occopus_resource_azure.cloud import Cloud  # noqa: PLC0415

        super().__init__(connection)
        group = str(connection.settings.get("resource_group") or "") or None
        cloud = Cloud(connection, 2 * self.max_concurrency, ("containers", "network", "resources"))
        self._inventory = Inventory(cloud, group)
        self._making = Making(cloud, self._inventory, group)
        self._removal = Removal(cloud, self._inventory)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `azure_aci`."""
        return load_schema("occopus_resource_azure.aci")

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for an invalid value."""
        from occopus_resource_azure import values  # noqa: PLC0415
        from occopus_resource_azure.aci import order  # noqa: PLC0415

        values.refuse_bad_names(request.resource, self.schema())
        order.check(request)

    def create(self, request: CreateRequest) -> Instance:
        """Do the next step of network and container group; idempotent by token. Raises `ProviderError`."""
        from occopus_resource_azure import values  # noqa: PLC0415

        values.refuse_bad_names(request.resource, self.schema())
        return self._making.next(request)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """A list, and a request for each group not known to run, at most 32. Raises `ProviderError`."""
        return self._inventory.describe(ids) if ids else {}

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """Everything with the owner's tags: a list for each kind of resource. Raises `ProviderError`."""
        yield from self._inventory.listed(owner)

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """The container group, then its network; idempotent. Raises `ProviderError`."""
        return self._removal.remove(ids) if ids else {}

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Stop the processes; idempotent. Raises `ProviderError`."""
        return self._removal.stop(ids) if ids else {}

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """The end of the container's output. Raises `ProviderError`."""
        return self._removal.logs(ids, lines)
