"""The resource handler of the CloudBroker Platform."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from occopus_core.api import (
    Connection,
    ContextForm,
    CreateRequest,
    Instance,
    InstanceId,
    Owner,
    ProviderError,
    ResourceHandler,
    load_schema,
    missing_keys,
)


class CloudBrokerHandler(ResourceHandler):
    """One account at one platform. The name of an instance contains owner and token."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})
    max_concurrency: ClassVar[int] = 8
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 15.0)
    consistency_window: ClassVar[float] = 30.0
    """The official client waits 60 s for an answer, Occopus 30 s: a creation may take effect up to 30 s after Occopus
    gave up."""

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import the libraries.
        from occopus_resource_cloudbroker.account import Account  # noqa: PLC0415

        super().__init__(connection)
        self._account = Account(connection, self.consistency_window)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `cloudbroker`."""
        return load_schema("occopus_resource_cloudbroker")

    @classmethod
    def auth_fault(cls, auth: Mapping[str, str]) -> str:
        """A missing key."""
        from occopus_resource_cloudbroker.client import KEYS  # noqa: PLC0415

        return missing_keys(auth, KEYS)

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for a description that cannot be sent, and for a name that is too long."""
        self._account.check(request)

    def create(self, request: CreateRequest) -> Instance:
        """Look for the token's instance, create it if there is none, and look again.

        The platform has no idempotency token for creations. Calls: two lists, which concurrent calls share, and the
        creation. Raises `ProviderError`.
        """
        return self._account.create(request)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """Read the list up to the page with the last of them, or make a call for each if that is less.

        Raises `ProviderError`.
        """
        return self._account.describe(list(dict.fromkeys(ids))) if ids else {}

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """Every instance whose name has the owner: one call for each page. Raises `ProviderError` when iterated."""
        yield from self._account.owned(owner)

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Stop the instances: the list, and a call for each that still runs; idempotent.

        The platform keeps the record of a stopped instance. Raises `ProviderError`.
        """
        return self._account.delete(list(dict.fromkeys(ids))) if ids else {}

    def cost(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Decimal | None]:
        """The entry ``Total`` in the costs of each instance, with one call each; None without one.

        Raises `ProviderError`.
        """
        return self._account.cost(list(dict.fromkeys(ids))) if ids else {}
