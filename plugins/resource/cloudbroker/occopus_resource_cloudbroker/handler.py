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
)


class CloudBrokerHandler(ResourceHandler):
    """One account at one platform. Owner and token of an instance are in its name."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})
    max_concurrency: ClassVar[int] = 8
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 15.0)
    consistency_window: ClassVar[float] = 30.0
    """The official client waits 60 s for an answer: a creation whose answer was not awaited for more than the usual
    30 s may take effect for as long again."""

    def __init__(self, connection: Connection) -> None:
        # The libraries are imported only by who makes calls, not by who wants the schema.
        from occopus_resource_cloudbroker.account import Account  # noqa: PLC0415

        super().__init__(connection)
        self._account = Account(connection, self.consistency_window)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `cloudbroker`."""
        return load_schema("occopus_resource_cloudbroker")

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for a description that cannot be sent, and for a name that gets too long."""
        self._account.check(request)

    def create(self, request: CreateRequest) -> Instance:
        """Look for what the token has made, make the instance if there is nothing, and look again.

        The platform has no token of its own for a creation. Calls: two lists, which calls side by side share, and the
        creation. Raises `ProviderError`.
        """
        return self._account.create(request)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """The list up to the page with the last of them, or a call for each where that is less.

        Raises `ProviderError`.
        """
        return self._account.describe(list(dict.fromkeys(ids))) if ids else {}

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """Everything whose name has the owner: one call for each page. Raises `ProviderError` when iterated."""
        yield from self._account.owned(owner)

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Stop the instances: the list, and a call for each that still runs; idempotent.

        The platform keeps the record of an instance that was stopped. Raises `ProviderError`.
        """
        return self._account.delete(list(dict.fromkeys(ids))) if ids else {}

    def cost(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Decimal | None]:
        """The entry ``Total`` of the costs of each, with one call for each; None without one.

        Raises `ProviderError`.
        """
        return self._account.cost(list(dict.fromkeys(ids))) if ids else {}
