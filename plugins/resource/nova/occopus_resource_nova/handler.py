"""The resource handler of OpenStack."""

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


class NovaHandler(ResourceHandler):
    """One project of one OpenStack cloud. The id of an instance is its token."""

    contract_version: ClassVar[int] = 1
    harmless_keys: ClassVar[tuple[str, ...]] = (
        "project_id",
        "tenant_name",
        "region_name",
        "user_domain_name",
        "domain_name",
    )
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint", *harmless_keys)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.LOGS})
    max_concurrency: ClassVar[int] = 8
    poll_seconds: ClassVar[tuple[float, float]] = (0.5, 10.0)
    consistency_window: ClassVar[float] = 10.0

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import the libraries.
        from occopus_resource_nova.cloud import Cloud  # noqa: PLC0415
        from occopus_resource_nova.inventory import Inventory  # noqa: PLC0415
        from occopus_resource_nova.steps import Steps  # noqa: PLC0415

        super().__init__(connection)
        cloud = Cloud(connection)
        self._inventory = Inventory(cloud)
        self._steps = Steps(cloud, self._inventory)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `nova`."""
        return load_schema("occopus_resource_nova")

    @classmethod
    def auth_fault(cls, auth: Mapping[str, str]) -> str:
        """VOMS proxies and OpenID providers are not supported."""
        from occopus_resource_nova.connect import auth_fault  # noqa: PLC0415  # it imports keystoneauth1

        return auth_fault(auth)

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for an invalid value, and for too much user data."""
        self._steps.check(request)

    def create(self, request: CreateRequest) -> Instance:
        """Do the next step of volume, server, floating IP; idempotent by token. Raises `ProviderError`."""
        return self._steps.next(request)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """One request for each page of servers; two more if an id has none. Raises `ProviderError`."""
        return self._inventory.describe(ids) if ids else {}

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """Every instance of the owner: three requests, and one for each more page. Raises `ProviderError`."""
        yield from self._inventory.listed(owner)

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Delete floating IPs allocated here, servers, and volumes that do not persist; idempotent.

        Raises `ProviderError`.
        """
        return self._steps.remove(ids) if ids else {}

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """The end of each console's output: one request for the servers, one for each. Raises `ProviderError`."""
        return self._inventory.consoles(ids, lines) if ids else {}
