"""The containers of one engine: made, started, found and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from docker.errors import DockerException
from docker.types import HostConfig

from occopus_core.api import (
    AuthError,
    Connection,
    CreateRequest,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    ProviderError,
    TransientError,
)
from occopus_resource_docker import order, view
from occopus_resource_docker.engine import Engine
from occopus_resource_docker.errors import ContainerMissingError, ImageMissingError, NameTakenError
from occopus_resource_docker.labels import TOKEN, selectors
from occopus_resource_docker.pulls import Pulls

_REMOVALS = 8
"""The most containers that are being removed at once: each takes an engine a tenth of a second or more."""
_ANY_VERSION = "1.41"
_NAME_TAKEN = "a container with its name is being made, or is somebody else's"


class Containers:
    """What there is on the engine of a connection. Thread-safe."""

    def __init__(self, connection: Connection, connections: int) -> None:
        self._engine = Engine(connection, connections)
        self._pulls = Pulls(self._engine.bring)
        self._host = urlsplit(str(connection.settings.get("endpoint", ""))).hostname or ""
        if not str(connection.settings.get("endpoint", "")).startswith("tcp:"):
            self._host = "127.0.0.1"

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError`."""
        order.container(request)
        try:
            HostConfig(_ANY_VERSION, **order.host(request.resource))
        except (DockerException, TypeError, ValueError) as error:
            raise PermanentError(f"resource: {error}") from None

    def create(self, request: CreateRequest) -> Instance:
        """The name is the token: an engine gives it once, and says so to whoever comes second."""
        container, host = order.container(request), order.host(request.resource)
        try:
            self._engine.call(
                lambda docker: docker.create_container(**container, host_config=docker.create_host_config(**host))
            )
        except NameTakenError:
            return self._going_on(request, self._found)
        except ImageMissingError:
            return self._awaited(request)
        return self._going_on(request, self._started)

    @staticmethod
    def _going_on(request: CreateRequest, step: Callable[[CreateRequest], Instance]) -> Instance:
        """There is a container: an engine that cannot be reached any more says nothing of that."""
        try:
            return step(request)
        except ProviderError as error:
            error.unreached = False
            raise

    def _found(self, request: CreateRequest) -> Instance:
        """What an earlier call has made, perhaps in this very moment."""
        id = InstanceId(request.token)
        instance = self.describe([id])[id]
        if instance.state is InstanceState.ABSENT:
            return _to_be(request, _NAME_TAKEN)
        if instance.state is InstanceState.PROVISIONING:
            return self._started(request)
        return instance

    def _awaited(self, request: CreateRequest) -> Instance:
        """The image has to come first: nothing carries the token yet."""
        image = order.image(request.resource)
        if image.local:
            raise NotFoundError(f"the engine has no image '{image.reference}', and resource.origin is 'local'")
        return _to_be(request, self._pulls.progress(image))

    def _started(self, request: CreateRequest) -> Instance:
        id = InstanceId(request.token)
        try:
            self._engine.call(lambda docker: docker.start(id))
        except ContainerMissingError:  # another call is making it, or somebody has removed it in this very moment
            return _to_be(request, _NAME_TAKEN)
        return self.describe([id])[id]

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """One look at what is ours: an engine cannot be asked for several labels at once."""
        if not ids:
            return {}
        found = {id: Instance(id, InstanceState.ABSENT) for id in ids}
        label = f"{TOKEN}={ids[0]}" if len(found) == 1 else TOKEN
        found.update((each.id, each) for each in self._listed([label]) if each.id in found)
        return found

    def owned(self, owner: Owner) -> Iterator[Instance]:
        """See `ResourceHandler.list_owned`."""
        for instance in self._listed(selectors(owner)):
            if instance.owner is not None and owner.matches(instance.owner):
                yield instance

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """See `ResourceHandler.delete`."""
        if not ids:
            return {}
        with ThreadPoolExecutor(min(_REMOVALS, len(ids)), thread_name_prefix="docker rm") as threads:
            results = dict(zip(ids, threads.map(self._removed, ids), strict=True))
        errors = list(results.values())
        if isinstance(errors[0], TransientError | AuthError) and None not in errors:
            raise errors[0]
        return results

    def _removed(self, id: InstanceId) -> ProviderError | None:
        try:
            self._engine.call(lambda docker: docker.remove_container(id, v=True, force=True))
        except ContainerMissingError:
            return None
        except ProviderError as error:
            return error
        return None

    def _listed(self, labels: list[str]) -> list[Instance]:
        listed: list[Mapping[str, Any]] = self._engine.call(
            lambda docker: docker.containers(all=True, filters={"label": labels})
        )
        return [view.instance(each, self._host) for each in listed]


def _to_be(request: CreateRequest, reason: str) -> Instance:
    """An instance of which the engine has nothing yet."""
    return Instance(
        InstanceId(request.token),
        InstanceState.PROVISIONING,
        token=request.token,
        owner=request.owner,
        reason=reason,
    )
