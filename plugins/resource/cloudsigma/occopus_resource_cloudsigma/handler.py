"""The resource handler of CloudSigma."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
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
    missing_keys,
)


class CloudSigmaHandler(ResourceHandler):
    """One account at one location of CloudSigma. The id of an instance is its token."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.STOP})
    stop_seconds: ClassVar[float] = 0.0
    max_concurrency: ClassVar[int] = 8
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 15.0)
    consistency_window: ClassVar[float] = 10.0

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import the HTTP library.
        from occopus_resource_cloudsigma.client import Client  # noqa: PLC0415
        from occopus_resource_cloudsigma.costs import Costs  # noqa: PLC0415
        from occopus_resource_cloudsigma.inventory import Inventory  # noqa: PLC0415
        from occopus_resource_cloudsigma.making import Making  # noqa: PLC0415
        from occopus_resource_cloudsigma.removing import Removing  # noqa: PLC0415

        super().__init__(connection)
        client = Client(connection, self.max_concurrency)
        self._inventory = Inventory(client)
        self._making = Making(client, self._inventory)
        self._removing = Removing(client, self._inventory)
        self._costs = Costs(client, self._inventory)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `cloudsigma`."""
        return load_schema("occopus_resource_cloudsigma")

    @classmethod
    def auth_fault(cls, auth: Mapping[str, str]) -> str:
        """A missing key."""
        from occopus_resource_cloudsigma.client import KEYS  # noqa: PLC0415

        return missing_keys(auth, KEYS)

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for an invalid value and for a field that the handler sets itself."""
        self._making.check(request)

    def create(self, request: CreateRequest) -> Instance:
        """Do the next step of drive, server, start; idempotent by token. Raises `ProviderError`."""
        return self._making.next(request)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """One request for all servers of the account; one more if an id has no server. Raises `ProviderError`."""
        return self._inventory.describe(ids) if ids else {}

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """Everything with the owner's marks, from two requests. Raises `ProviderError` when iterated."""
        yield from self._inventory.listed(owner)

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Send an ACPI shutdown to running servers; idempotent. Raises `ProviderError`.

        CloudSigma repeats it for a minute; a server that ignores it is running again after that.
        """
        return self._removing.shut_down(ids) if ids else {}

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Stop servers, then delete them with their drives; idempotent, one step per call. Raises `ProviderError`."""
        return self._removing.remove(ids) if ids else {}

    def cost(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Decimal | None]:
        """Their shares of the account's bill for processors, memory and drives. Raises `ProviderError`.

        None if a subscription covers a part of it, and for an instance that has not been billed yet.
        """
        return self._costs.of(ids) if ids else {}
