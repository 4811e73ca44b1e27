"""The resource handler of the simulated cloud."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import (
    Address,
    AddressKind,
    Connection,
    ContextForm,
    CreateRequest,
    Feature,
    Instance,
    InstanceId,
    InstanceState,
    Owner,
    PermanentError,
    ProviderError,
    ResourceHandler,
    load_schema,
)
from occopus_core.api.seconds import MOST_SECONDS
from occopus_resource_sim.errors import provider_error

_PAGE = 10_000
_KINDS = (AddressKind.PUBLIC, AddressKind.PRIVATE)
_STATES = {state.value: state for state in InstanceState}
_LEAST = {"boot_seconds": 0.0, "delete_seconds": 0.0, "shutdown_seconds": 0.0, "steps": 1.0}


class SimHandler(ResourceHandler):
    """One account at one simulated cloud."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint", "project")
    harmless_keys: ClassVar[tuple[str, ...]] = ("project",)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset(ContextForm)
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.ENSURE, Feature.LOGS, Feature.STOP})
    max_concurrency: ClassVar[int] = 16
    poll_seconds: ClassVar[tuple[float, float]] = (0.01, 5.0)
    consistency_window: ClassVar[float] = 2.0

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import the HTTP library.
        from occopus_resource_sim.client import Client  # noqa: PLC0415

        super().__init__(connection)
        self._client = Client(connection, self.max_concurrency)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `sim`."""
        return load_schema("occopus_resource_sim")

    @classmethod
    def exclusive(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """The port."""
        return [f"the port {resource['port']}"] if resource.get("port") else []

    @classmethod
    def unshared(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """The port."""
        return cls.exclusive(resource)

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for an invalid or too small number."""
        _order(request)

    def ensure(self, request: CreateRequest) -> str:
        """Ask for the image. Raises `ProviderError`."""
        return self._client.call("ensure", _order(request), lambda answer: str(answer["progress"]))

    def create(self, request: CreateRequest) -> Instance:
        """Do one step of the creation; the cloud recognises a repeated token. Raises `ProviderError`."""
        return self._client.call("create", _order(request), lambda answer: _instance(answer["instance"]))

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """One call for each page of 10,000. Raises `ProviderError`."""
        found = {id: Instance(id, InstanceState.ABSENT) for id in ids}
        for page in _pages(ids):
            found.update((instance.id, instance) for instance in self._listed("describe", {"ids": page}))
        return found

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """Everything with the owner's tags, one call for each page of 10,000. Raises `ProviderError` when iterated."""
        yield from self._listed("list", {"owner": _tags(owner)})

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """One call for every 10,000 ids; idempotent. Raises `ProviderError`."""
        results: dict[InstanceId, ProviderError | None] = {}
        for page in _pages(ids):
            answers = self._client.call("delete", {"ids": page}, lambda answer: dict(answer["results"]))
            results.update((id, self._refusal(id, answers.get(id))) for id in page)
        return results

    def stop(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """One call for every 10,000 ids; idempotent. Raises `ProviderError`."""
        for page in _pages(ids):
            self._client.call("stop", {"ids": page}, lambda answer: dict(answer["results"]))
        return dict.fromkeys(ids)

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """One call for every 10,000 ids. Raises `ProviderError`."""
        found: dict[InstanceId, str | None] = dict.fromkeys(ids)
        for page in _pages(ids):
            found.update(self._client.call("logs", {"ids": page, "lines": lines}, lambda answer: dict(answer["logs"])))
        return found

    def _listed(self, operation: str, body: Mapping[str, Any]) -> Iterator[Instance]:
        """The instances on all pages of an answer. Raises `ProviderError` when iterated."""
        after = ""
        while True:
            instances, after = self._client.call(operation, {**body, "after": after}, _page)
            yield from instances
            if not after:
                return

    def _refusal(self, id: InstanceId, refusal: Mapping[str, Any] | None) -> ProviderError | None:
        return provider_error(refusal, f"{self.connection.settings.get('endpoint')}, {id}", None) if refusal else None


def _pages(ids: Sequence[InstanceId]) -> Iterator[list[InstanceId]]:
    return (list(ids[start : start + _PAGE]) for start in range(0, len(ids), _PAGE))


def _tags(owner: Owner) -> dict[str, str | None]:
    return {
        "installation": owner.installation,
        "infra_id": owner.infra_id,
        "node_name": owner.node_name,
        "node_id": owner.node_id,
    }


def _order(request: CreateRequest) -> dict[str, Any]:
    """The body of a create call. Raises `PermanentError`."""
    resource, context = request.resource, request.context
    texts = {key: str(resource[key]) for key in ("project", "image", "fail", "output", "port") if key in resource}
    numbers = {key: _number(key, resource[key]) for key in _LEAST if key in resource}
    return {
        "token": request.token,
        "owner": _tags(request.owner),
        "user_data": context.user_data,
        "env": context.env or None,
        "command": context.command,
        **texts,
        **numbers,
    }


def _number(key: str, value: object) -> float:
    """A number, given as such or as the text of a rendered template. Raises `PermanentError`."""
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not _LEAST[key] <= number <= MOST_SECONDS or (key == "steps" and number % 1):
        kind = "a whole number" if key == "steps" else "a number"
        raise PermanentError(f"resource.{key} must be {kind} from {_LEAST[key]:g} to {MOST_SECONDS}, not {value!r}")
    return number


def _page(answer: Mapping[str, Any]) -> tuple[list[Instance], str]:
    """The instances on a page, and the start of the next page."""
    return [_instance(each) for each in answer["instances"]], answer.get("next", "")


def _instance(answer: Mapping[str, Any]) -> Instance:
    owner = answer["owner"]
    return Instance(
        id=answer["id"],
        state=_STATES.get(answer["state"], InstanceState.UNKNOWN),
        addresses=tuple(map(Address, answer["addresses"], _KINDS)),
        token=answer["token"],
        owner=Owner(owner["installation"], owner["infra_id"], owner["node_name"], owner["node_id"]),
        raw_state=answer["state"],
        reason=answer["reason"],
    )
