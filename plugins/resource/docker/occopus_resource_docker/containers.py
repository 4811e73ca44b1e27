"""The containers of one engine: creates, starts, finds and removes them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
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
    QuotaError,
    TransientError,
)
from occopus_resource_docker import order, view
from occopus_resource_docker.engine import Engine
from occopus_resource_docker.errors import (
    ContainerMissingError,
    ImageMissingError,
    NameTakenError,
    StartingError,
    StoppedError,
    UnreadableLogError,
)
from occopus_resource_docker.labels import IMPORTED, TOKEN, selectors
from occopus_resource_docker.output import is_podman, read_output
from occopus_resource_docker.pulls import Pulls

T = TypeVar("T")

_AT_ONCE = 8
"""The most containers removed or stopped concurrently: each takes an engine a tenth of a second or more."""
_RUNNING = frozenset({InstanceState.READY, InstanceState.PENDING})
_ANY_VERSION = "1.41"
_MOST_OUTPUTS = 32
"""The most unhealthy containers whose health check output one look reads."""
_NAME_TAKEN = "a container with its name is being created, or has another owner"


class Containers:
    """The containers on the engine of a connection. Thread-safe.

    Containers of Occopus are recognised by their label and addressed by the engine's id: any user may change a name, or
    use it.
    """

    def __init__(self, connection: Connection, connections: int) -> None:
        self._engine = Engine(connection, connections)
        self._pulls = Pulls(self._engine.bring)
        self._host = urlsplit(str(connection.settings.get("endpoint", ""))).hostname or ""
        if not str(connection.settings.get("endpoint", "")).startswith("tcp:"):
            self._host = "127.0.0.1"
        self._tokens_of_images: dict[str, str] = {}
        self._needed_imports: set[str] = set()
        """The imported images that `ensure` has found, until a container is created of each."""

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError`."""
        order.container(request)
        try:
            HostConfig(_ANY_VERSION, **order.host(request.resource))
        except (DockerException, TypeError, ValueError) as error:
            raise PermanentError(f"resource: {error}") from None

    def ensure(self, request: CreateRequest) -> str:
        """Have the engine get the image. Returns the progress; empty once the image is there, and the network."""
        image, network = order.image(request.resource), order.named_network(request.resource)
        if network:
            self._engine.call(lambda docker: docker.inspect_network(network))
        try:
            self._engine.call(lambda docker: _of_type(dict, docker.inspect_image(image.reference)))
        except ImageMissingError:
            return self._progress(image)
        if image.url:
            self._needed_imports.add(image.reference)
        return ""

    def create(self, request: CreateRequest) -> Instance:
        """Create a container. Its name is the token: an engine refuses a second container of that name.

        A stopped engine counts as one without room, since it does not start by itself.
        """
        container, host = order.container(request), order.host(request.resource)
        try:
            made: str = self._engine.call(
                lambda docker: _of_type(
                    str, docker.create_container(**container, host_config=docker.create_host_config(**host))["Id"]
                )
            )
        except StoppedError as error:
            if self._engine.is_stopped:
                raise QuotaError(error.message, unreached=True) from None
            raise
        except NameTakenError:
            return _going_on(lambda: self._found(request))
        except ImageMissingError:
            return self._awaited(request)
        except ContainerMissingError as error:
            raise _of_network(error) from None
        self._needed_imports.discard(container["image"])
        return _going_on(lambda: self._settled(request, made))

    def _found(self, request: CreateRequest) -> Instance:
        """The container that an earlier or concurrent call has made.

        It is not in use yet: if it ended because its engine was restarted, it is started again.
        """
        for key, instance in self._of(request.token).items():
            if instance.state is not InstanceState.PROVISIONING and not view.was_killed(instance):
                return instance
            return self._started(request, key).get(key) or _to_be(request, _NAME_TAKEN)
        return _to_be(request, _NAME_TAKEN)

    def _settled(self, request: CreateRequest, made: str) -> Instance:
        """The container of this call, unless an earlier one exists that was renamed."""
        there = self._started(request, made)
        mine = there.pop(made, None)
        for earlier in there.values():
            if earlier.state is not InstanceState.DELETING:
                self._remove(made)
                return earlier
        return mine or _to_be(request, _NAME_TAKEN)

    def _awaited(self, request: CreateRequest) -> Instance:
        """Wait for the image. Before it is there, nothing carries the token."""
        return _to_be(request, self._progress(order.image(request.resource)))

    def _progress(self, image: order.Image) -> str:
        """The progress of getting an image that the engine does not have. Raises `ProviderError`."""
        if image.local:
            raise NotFoundError(f"the engine has no image '{image.reference}', and resource.origin is 'local'")
        return self._pulls.progress(image)

    def _started(self, request: CreateRequest, key: str) -> dict[str, Instance]:
        """Start this container; return every container with the token."""
        try:
            self._engine.call(lambda docker: docker.start(key))
        except ContainerMissingError as error:
            if key not in error.message:
                raise _of_network(error) from None
            # A user has just removed it.
        except StartingError:
            pass  # its state is read below
        return self._of(request.token)

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """One list of the containers of Occopus. An engine lists every created container until it is removed."""
        found = {id: Instance(id, InstanceState.ABSENT, raw_state="removed") for id in ids}
        found.update((each.id, each) for each in self._of(*found).values())
        return found

    def owned(self, owner: Owner) -> Iterator[Instance]:
        """See `ResourceHandler.list_owned`."""
        for instance in self._ours(selectors(owner)).values():
            if instance.owner is not None and owner.matches(instance.owner):
                yield instance

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """See `ResourceHandler.delete`."""
        found = self._of(*ids)
        imported = bool(found) and self._are_imported(found)
        results = self._each(ids, found, self._remove)
        if imported:
            self._remove_unused_imports()
        return results

    def _are_imported(self, keys: Collection[str]) -> bool:
        """Whether the image of one of these containers was imported for it."""
        listed = self._engine.call(lambda docker: docker.containers(all=True, filters={"label": [IMPORTED]}))
        return any(each["Id"] in keys for each in listed)

    def _remove_unused_imports(self) -> None:
        """Remove imported images without containers, including those of interrupted calls.

        An engine refuses to remove an image in use. An image that is needed again is imported again. One that `ensure`
        has found stays: what is deleted makes way for its container.
        """

        def act(docker: APIClient) -> None:
            used = {each["ImageID"] for each in docker.containers(all=True, filters={"label": [IMPORTED]})}
            for image in docker.images(name=order.IMPORTED):
                names = [name for name in image.get("RepoTags") or () if name.startswith(f"{order.IMPORTED}:")]
                for name in set(names) - self._needed_imports if image["Id"] not in used else ():
                    with contextlib.suppress(DockerException):
                        docker.remove_image(name)

        with contextlib.suppress(ProviderError):  # the containers are removed in any case
            self._engine.call(act)

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """See `ResourceHandler.stop`."""
        running = {key: each for key, each in self._of(*ids).items() if each.state in _RUNNING}
        return self._each(ids, running, self._signal)

    def logs(
        self, ids: Sequence[InstanceId], lines: int, since: float | None = None
    ) -> Mapping[InstanceId, str | None]:
        """See `ResourceHandler.logs`. None also if the log driver of a container keeps no readable output."""
        results: dict[InstanceId, str | None] = dict.fromkeys(ids)
        found = self._of(*ids)
        if not found:
            return results
        podman = self._engine.call(is_podman)

        def read(key: str) -> str | None:
            try:
                return self._engine.call(lambda docker: read_output(docker, key, lines, since, podman=podman))
            except (ContainerMissingError, UnreadableLogError):
                return None

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="docker") as threads:
            texts = list(threads.map(read, found))
        results.update((each.id, text) for each, text in zip(found.values(), texts, strict=True))
        return results

    def _each(
        self, ids: Sequence[InstanceId], found: Mapping[str, Instance], act: Callable[[str], None]
    ) -> Mapping[InstanceId, ProviderError | None]:
        """Act on containers concurrently; returns the error of each by its id."""
        if not ids:
            return {}

        def attempt(key: str) -> ProviderError | None:
            try:
                act(key)
            except ProviderError as error:
                return error
            return None

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="docker") as threads:
            errors = list(threads.map(attempt, found))
        results: dict[InstanceId, ProviderError | None] = dict.fromkeys(ids)
        results.update((each.id, error) for each, error in zip(found.values(), errors, strict=True) if error)
        first = results[ids[0]]
        if isinstance(first, TransientError | AuthError) and None not in results.values():
            raise first
        return results

    def _remove(self, key: str) -> None:
        """Idempotent. Raises `ProviderError`."""

        def act(docker: APIClient) -> None:
            # A forced removal also kills, but Podman's only after the ten seconds of `podman stop`.
            with contextlib.suppress(APIError):  # already ended or removed; the removal reports all other errors
                docker.kill(key)
            docker.remove_container(key, v=True, force=True)

        with contextlib.suppress(ContainerMissingError):
            self._engine.call(act)

    def _signal(self, key: str) -> None:
        """Send a container its stop signal. Idempotent. Raises `ProviderError`."""

        def ask(docker: APIClient) -> None:
            wanted = docker.inspect_container(key)["Config"].get("StopSignal") or "SIGTERM"
            docker.kill(key, str(wanted))

        try:
            self._engine.call(ask)
        except ContainerMissingError:
            return
        except ProviderError:
            # An engine refuses a signal to a container that has just ended.
            states = self._ours([TOKEN])
            if key in states and states[key].state in _RUNNING:
                raise

    def _of(self, *tokens: str) -> dict[str, Instance]:
        """The containers with one of these tokens, like `_ours`.

        One call: engines cannot filter by several values of a label.
        """
        if not tokens:
            return {}
        found = self._ours([f"{TOKEN}={tokens[0]}" if len(tokens) == 1 else TOKEN])
        wanted = frozenset(tokens)
        return {key: each for key, each in found.items() if each.id in wanted}

    def _ours(self, labels: list[str]) -> dict[str, Instance]:
        """The containers with these labels, by the engine's id."""

        def look(docker: APIClient) -> dict[str, Instance]:
            listed = _of_type(list, docker.containers(all=True, filters={"label": labels}))
            budget = iter(range(_MOST_OUTPUTS))
            return {each["Id"]: self._seen(docker, each, budget) for each in listed if not self._inherits(docker, each)}

        return self._engine.call(look)

    def _seen(self, docker: APIClient, listed: Mapping[str, Any], budget: Iterator[int]) -> Instance:
        """The instance of a listed container. A list has neither health check output nor the number of restarts."""
        seen = view.instance(listed, self._host)
        if view.may_be_looping(listed) and seen.state in _RUNNING and not seen.reason:
            restarts = int(_inspected(docker, listed["Id"]).get("RestartCount") or 0)
            return replace(seen, state=InstanceState.PENDING, reason=view.looping(restarts)) if restarts else seen
        if view.is_unhealthy(listed) and next(budget, None) is not None:
            health = (_inspected(docker, listed["Id"]).get("State") or {}).get("Health") or {}
            last = (health.get("Log") or [{}])[-1]
            return replace(seen, reason=view.failed_check(str(last.get("Output") or "")))
        return seen

    def _inherits(self, docker: APIClient, listed: Mapping[str, Any]) -> bool:
        """Whether the labels come from its image, which a user made from a container of Occopus."""
        token: str = listed["Labels"][TOKEN]
        if f"/{token}" in (listed["Names"] or ()):
            return False  # as almost always
        image = listed["ImageID"]
        if image not in self._tokens_of_images:
            try:
                labels = docker.inspect_image(image)["Config"]["Labels"] or {}
            except NotFound:  # unknown: leave it
                return True
            self._tokens_of_images[image] = labels.get(TOKEN, "")
        return self._tokens_of_images[image] == token


def _of_type(kind: type[T], said: Any) -> T:
    """A value of an engine's answer, checked for this type. Raises `TypeError`: not an engine's answer."""
    if not isinstance(said, kind):
        raise TypeError(f"{kind} is wanted, and it is {type(said)}")
    return said


def _inspected(docker: APIClient, key: str) -> Mapping[str, Any]:
    """The engine's description of one container; empty if it was just removed."""
    try:
        return _of_type(dict, docker.inspect_container(key))
    except NotFound:
        return {}


def _going_on(step: Callable[[], Instance]) -> Instance:
    """Clear `unreached`: a container exists, even if the engine cannot be reached now."""
    try:
        return step()
    except ProviderError as error:
        error.unreached = False
        raise


def _of_network(error: ContainerMissingError) -> NotFoundError:
    """Only ``container:NAME`` refers to a container other than the one being made."""
    return NotFoundError(f"{error.message} (resource.network)")


def _to_be(request: CreateRequest, reason: str) -> Instance:
    """An instance without a container yet."""
    return Instance(
        InstanceId(request.token),
        InstanceState.PROVISIONING,
        token=request.token,
        owner=request.owner,
        reason=reason,
    )
