"""Finds container groups by token or by owner, in lists that are filtered here."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from occopus_core.api import Instance, InstanceId, Owner
from occopus_resource_azure import tags
from occopus_resource_azure.aci.order import TYPE
from occopus_resource_azure.aci.view import Parts, instance, is_running
from occopus_resource_azure.cloud import Cloud, raw
from occopus_resource_azure.connect import Clients
from occopus_resource_azure.steps import DONE, Target, state
from occopus_resource_azure.tags import Thing

LOOK_AGAIN_SECONDS = 30.0
"""How long a group that was seen running counts as running: lists lack that state, and each look is a request."""
_MOST_LOOKS = 32
"""The most groups looked at in one `describe`, those with the oldest look first."""
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    running: bool
    properties: Thing


class Inventory:
    """The content of one resource group, or of the subscription if each instance has its own group."""

    def __init__(self, cloud: Cloud, group: str | None) -> None:
        self._cloud = cloud
        self._group = group
        self._lock = threading.Lock()
        self._looks: dict[str, _Look] = {}  # by id; only a cache

    def describe(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Instance]:
        """One list, a request for each group not known to run, and one more list if an id has no group.

        Raises `ProviderError`.
        """
        groups = tags.by_token(self._all(), TYPE)
        found = {id: Parts(containers=groups.get(id, [])) for id in ids}
        self._look([group for parts in found.values() for group in parts.containers])
        missing = [id for id in ids if not found[id].containers]
        if missing:
            found.update(self._helpers(missing))
        return {id: instance(id, found[id]) for id in ids}

    def listed(self, owner: Owner) -> Iterator[Instance]:
        """Everything of this owner, unfinished instances included. Raises `ProviderError` when iterated."""
        found = self._everything()
        owned = {token: parts for token, parts in found.items() if (one := parts.whose()) and owner.matches(one)}
        self._look([group for parts in owned.values() for group in parts.containers])
        for token, parts in owned.items():
            yield instance(token, parts)

    def parts(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Parts]:
        """All parts that these tokens have made. Raises `ProviderError`."""
        found = self._everything()
        return {id: found.get(id, Parts()) for id in ids}

    def place(self, token: str) -> tuple[str, str]:
        """The resource group and the name of a token's parts."""
        target = Target.of(token, self._group)
        return target.group, target.name

    def container(self, token: str) -> Thing | None:
        """The container group of a token, with its state; None if it does not exist. Raises `ProviderError`."""
        return self._get(self.place(token))

    def _get(self, place: tuple[str, str]) -> Thing | None:
        return self._cloud.find(lambda clients: clients.containers.container_groups.get(*place, cls=raw))

    # Looks: whether processes run, which no list says

    def _look(self, groups: Sequence[Thing]) -> None:
        """Add the known state of its processes to each group."""
        due = sorted((group for group in groups if not self._is_known(group)), key=self._looked_at)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            looks = list(threads.map(lambda group: self._get(tags.place(group)), due[:_MOST_LOOKS]))
        now = time.monotonic()
        with self._lock:
            for group, look in zip(due, looks, strict=False):
                if look is None:  # deleted between the list and the look
                    group["properties"]["provisioningState"] = "Deleting"
                else:
                    self._looks[_key(group)] = _Look(now, is_running(look), look["properties"])
            for group in groups:
                if (known := self._looks.get(_key(group))) and state(group) == DONE:
                    group["properties"] = known.properties
            self._forget(now)

    def expire_looks(self, tokens: Sequence[str]) -> None:
        """Forget that these were seen running."""
        ended = {tags.name(token) for token in tokens}
        with self._lock:
            self._looks = {key: look for key, look in self._looks.items() if key.rpartition("/")[2] not in ended}

    def _is_known(self, group: Thing) -> bool:
        look = self._looks.get(_key(group))
        recent = look is not None and look.running and time.monotonic() - look.at < LOOK_AGAIN_SECONDS
        return recent and state(group) == DONE

    def _looked_at(self, group: Thing) -> float:
        look = self._looks.get(_key(group))
        return look.at if look is not None else 0.0

    def _forget(self, now: float) -> None:
        """Drop old looks."""
        if len(self._looks) > 10 * _MOST_LOOKS:
            self._looks = {key: look for key, look in self._looks.items() if now - look.at < 20 * LOOK_AGAIN_SECONDS}

    # Lists

    def _helpers(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Parts]:
        """Parts of instances without a container group; a group too new for lists is requested by name."""
        found = self._sorted_out([])
        for id in ids:
            parts = found.setdefault(id, Parts())
            made = any(tags.stage(thing) == tags.MADE for thing in parts.helpers())
            if made and (group := self.container(id)) is not None:
                parts.containers = [group]
        return {id: found[id] for id in ids}

    def _everything(self) -> dict[InstanceId, Parts]:
        return self._sorted_out(self._all())

    def _sorted_out(self, containers: list[Thing]) -> dict[InstanceId, Parts]:
        lists = {"containers": containers, "vnets": self._cloud.listed(self._vnets)}
        if self._group is None:
            lists["groups"] = self._cloud.listed(lambda clients: clients.resources.resource_groups.list())
        found: dict[InstanceId, Parts] = {}
        for kind, things in lists.items():
            for token, made in tags.by_token(things, TYPE).items():
                getattr(found.setdefault(InstanceId(token), Parts()), kind).extend(made)
        return found

    def _all(self) -> list[Thing]:
        def ask(clients: Clients) -> Any:
            groups = clients.containers.container_groups
            return groups.list_by_resource_group(self._group) if self._group else groups.list()

        return self._cloud.listed(ask)

    def _vnets(self, clients: Clients) -> Any:
        networks = clients.network.virtual_networks
        return networks.list(self._group) if self._group else networks.list_all()


def _key(group: Thing) -> str:
    return str(group["id"]).lower()
