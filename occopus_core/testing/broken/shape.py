# ruff: noqa: D102 - each class says what it does wrong
"""Handlers with a wrong class, schema or constructor, or unsafe output."""

from __future__ import annotations

import importlib
import logging
import socket
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import Connection, CreateRequest, Instance, InstanceId, Owner, ProviderError, ResourceHandler
from occopus_core.testing.broken.base import breaks
from occopus_core.testing.memory import MemoryCloud, MemoryHandler


@breaks("contract_version")
class OfAnotherContract(MemoryHandler):
    """Written for another version of the contract."""

    contract_version: ClassVar[int] = 99


@breaks("contract_version")
class InheritsItsVersion(MemoryHandler):
    """Inherits the version of the contract from another plugin, which may be written for a later one."""


@breaks("contract_version")
class OmitsItsVersion(ResourceHandler):
    """Does not state the version of the contract."""

    def __init__(self, connection: Connection, cloud: MemoryCloud) -> None:
        super().__init__(connection)
        self._handler = MemoryHandler(connection, cloud)

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        return MemoryHandler.schema()

    def create(self, request: CreateRequest) -> Instance:
        return self._handler.create(request)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        return self._handler.describe(ids)

    def list_owned(self, owner: Owner) -> Iterable[Instance]:
        return self._handler.list_owned(owner)

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        return self._handler.delete(ids)


@breaks("class_attributes")
class PollsBackwards(MemoryHandler):
    """The maximum pause between polls is shorter than the minimum."""

    poll_seconds: ClassVar[tuple[float, float]] = (5.0, 0.2)


@breaks("schema_is_valid")
class InvalidSchema(MemoryHandler):
    """Its schema is not a valid JSON Schema."""

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        return {**super().schema(), "type": "table"}


@breaks("schema_describes_every_property")
class SilentSchema(MemoryHandler):
    """A nested property has no description."""

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        schema = super().schema()
        nested = {"description": "Disks.", "type": "array", "items": {"properties": {"size": {"type": "number"}}}}
        return {**schema, "properties": {**schema["properties"], "disks": nested}}


@breaks("schema_covers_connection_keys")
class SelectsByUnknownKey(MemoryHandler):
    """Has a connection key that its schema lacks."""

    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint", "region")


@breaks("schema_accepts_requests")
class NarrowSchema(MemoryHandler):
    """Its schema requires a key that it does not need."""

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        return {**super().schema(), "required": ["fail"]}


@breaks("schema_imports_no_sdk")
class ImportsForSchema(MemoryHandler):
    """Imports the provider's library for its schema."""

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        importlib.import_module("xmlrpc.client")
        return super().schema()


@breaks("making_calls_nobody")
class ConnectsAtOnce(MemoryHandler):
    """The constructor connects."""

    def __init__(self, connection: Connection, cloud: MemoryCloud) -> None:
        super().__init__(connection, cloud)
        self.describe([InstanceId("sim-00000000")])


@breaks("constructor_does_no_io")
class LooksUpItsEndpoint(MemoryHandler):
    """The constructor resolves the host name of its endpoint."""

    def __init__(self, connection: Connection, cloud: MemoryCloud) -> None:
        super().__init__(connection, cloud)
        self.addresses = socket.getaddrinfo("127.0.0.1", 80)


@breaks("constructor_does_no_io")
class MakesAFile(MemoryHandler):
    """The constructor opens a file for writing."""

    def __init__(self, connection: Connection, cloud: MemoryCloud) -> None:
        super().__init__(connection, cloud)
        with tempfile.TemporaryFile():
            pass


@breaks("check_calls_nobody")
class AsksInCheck(MemoryHandler):
    """`check` calls the provider."""

    def check(self, request: CreateRequest) -> None:
        list(self.list_owned(request.owner))


@breaks("powers_without_io")
class NeedsAKeyForPowers(MemoryHandler):
    """Requires an optional key in every section."""

    @classmethod
    def powers(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        return [resource["volumes"]]


@breaks("sources_without_io")
class TakesTemplatesForLists(MemoryHandler):
    """Treats a template as its rendered value."""

    @classmethod
    def sources(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        return [] if resource["endpoint"].startswith("m") else [resource["endpoint"]["url"]]


@breaks("sources_without_io")
class AnswersOneSource(MemoryHandler):
    """Returns a text instead of a list."""

    @classmethod
    def sources(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        return str(resource.get("endpoint", "endpoint"))


@breaks("exclusive_without_io")
class AnswersOneThing(MemoryHandler):
    """Returns a text instead of a list."""

    @classmethod
    def exclusive(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        return str(resource.get("port", "port"))


@breaks("auth_fault_without_io")
class NeedsAToken(MemoryHandler):
    """Requires a key in all credentials."""

    @classmethod
    def auth_fault(cls, auth: Mapping[str, str]) -> str:
        return "" if auth["token"] else "no token"


@breaks("way_in_without_io")
class HasNoWayIn(MemoryHandler):
    """Returns nothing instead of an empty text."""

    @classmethod
    def way_in(cls, settings: Mapping[str, Any], id: InstanceId) -> str:  # noqa: ARG003
        return None  # type: ignore[return-value]


@breaks("repr_keeps_secrets")
class ShowsCredentials(MemoryHandler):
    """Its `repr` contains its credentials."""

    def __repr__(self) -> str:
        return f"ShowsCredentials({self.connection.auth})"


@breaks("prints_keep_secrets")
class PrintsCredentials(MemoryHandler):
    """Prints its credentials during `create`."""

    def create(self, request: CreateRequest) -> Instance:
        print("debug", dict(self.connection.auth))  # noqa: T201
        return super().create(request)


@breaks("prints_keep_secrets")
class LogsUserData(MemoryHandler):
    """Logs the user data."""

    def create(self, request: CreateRequest) -> Instance:
        logging.getLogger(__name__).debug("create %s", request.context.user_data)
        return super().create(request)
