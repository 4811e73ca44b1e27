"""The resource handler of Docker, and of Podman's Docker API."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterable, Mapping, Sequence
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
from occopus_resource_docker import exclusive, powers

_DEFAULT = "unix:///var/run/docker.sock"
"""The default engine of the program `docker`."""


class DockerHandler(ResourceHandler):
    """One engine. An instance is a container; its id is its token, which is also the name of the container."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.PROCESS})
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.ENSURE, Feature.LOGS, Feature.LOGS_SINCE, Feature.STOP})
    stop_seconds: ClassVar[float] = 10.0  # like docker stop
    max_concurrency: ClassVar[int] = 16
    poll_seconds: ClassVar[tuple[float, float]] = (0.1, 2.0)
    consistency_window: ClassVar[float] = 5.0  # an engine lists a container only when it is complete

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import the library.
        from occopus_resource_docker.containers import Containers  # noqa: PLC0415

        super().__init__(connection)
        self._containers = Containers(connection, self.max_concurrency)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `docker`."""
        return load_schema("occopus_resource_docker")

    @classmethod
    def powers(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """Folders and networks of the engine's machine, and resources of other containers."""
        return powers.of(resource)

    @classmethod
    def sources(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """The URL that the engine imports from, or the registry that it pulls from."""
        return powers.sources(resource)

    @classmethod
    def exclusive(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """Published ports of the host, and writable named volumes and folders."""
        return exclusive.of(resource)

    @classmethod
    def unshared(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """The published ports: several containers may write to one volume."""
        return exclusive.ports_of(resource)

    @classmethod
    def way_in(cls, settings: Mapping[str, Any], id: InstanceId) -> str:
        """A shell in the container, whose name is the id."""
        endpoint = str(settings.get("endpoint", _DEFAULT))
        engine = [] if endpoint == _DEFAULT else ["-H", endpoint]
        return shlex.join(["docker", *engine, "exec", "-it", id, "sh"])

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for values that no engine accepts."""
        self._containers.check(request)

    def ensure(self, request: CreateRequest) -> str:
        """Pull or import the image, or report the progress of that. Raises `ProviderError`."""
        return self._containers.ensure(request)

    def create(self, request: CreateRequest) -> Instance:
        """Create and start the container, or report the progress of its image. Raises `ProviderError`."""
        return self._containers.create(request)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """One call for any number of ids. Raises `ProviderError`."""
        return self._containers.describe(ids)

    def list_owned(self, owner: Owner) -> Iterable[Instance]:
        """One call, made when iterated. Raises `ProviderError`."""
        return self._containers.owned(owner)

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Kill and remove each container with its anonymous volumes; idempotent. Raises `ProviderError`."""
        return self._containers.delete(ids)

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """Send each container its stop signal, SIGTERM by default; idempotent. Raises `ProviderError`."""
        return self._containers.stop(ids)

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """The output of each container, on both streams. Raises `ProviderError`."""
        return self._containers.logs(ids, lines)

    def logs_since(self, ids: Sequence[InstanceId], lines: int, since: float) -> Mapping[InstanceId, str | None]:
        """The output since a time, by the clock of the engine's machine. Raises `ProviderError`."""
        return self._containers.logs(ids, lines, since)
