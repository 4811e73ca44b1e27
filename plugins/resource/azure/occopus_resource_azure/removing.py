"""Concurrent requests for deletions, none of which waits for the outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from occopus_core.api import InstanceId, ProviderError, TransientError
from occopus_resource_azure import tags
from occopus_resource_azure.cloud import Cloud
from occopus_resource_azure.connect import Clients
from occopus_resource_azure.errors import LaterError
from occopus_resource_azure.steps import DELETING, state
from occopus_resource_azure.tags import Thing

P = TypeVar("P")

_AT_ONCE = 8
"""The number of concurrent requests."""


def delete(cloud: Cloud, things: Sequence[Thing], operations: Callable[[Clients], Any]) -> None:
    """Start the deletion of each; absent ones, and those still in use, are a success. Raises `ProviderError`."""
    for thing in things:
        if state(thing) != DELETING:
            ask(
                cloud, lambda clients, place: operations(clients).begin_delete(*place, polling=False), tags.place(thing)
            )


def ask(cloud: Cloud, call: Callable[[Clients, tuple[str, str]], object], place: tuple[str, str]) -> None:
    """Start an action; an absent or busy resource is a success, since the core repeats the call.

    Raises `ProviderError`.
    """

    def quietly(clients: Clients) -> Thing:
        call(clients, place)
        return {}

    try:
        cloud.find(quietly)
    except LaterError:
        return


def each(
    ids: Sequence[InstanceId], parts: Mapping[InstanceId, P], act: Callable[[P], None]
) -> dict[InstanceId, ProviderError | None]:
    """The outcome for each, with concurrent calls; after a call without an answer the rest is skipped."""
    silent: list[ProviderError] = []
    lock = threading.Lock()

    def one(id: InstanceId) -> ProviderError | None:
        if silent:
            return silent[0]
        try:
            act(parts[id])
        except ProviderError as error:
            if isinstance(error, TransientError):
                with lock:
                    silent.append(error)
            return error
        return None

    with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(ids)))) as threads:
        return dict(zip(ids, threads.map(one, ids), strict=True))
