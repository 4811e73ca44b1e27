"""Where instances may be that no row names: every connection ever used, and what providers say is there."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api.resource import Instance, Owner, ResourceHandler
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.observe import is_instance
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.registry import PluginError
from occopus_core.store.records import Place
from occopus_core.store.repository import Store

_INVALID = TypeError("its list_owned did not answer instances")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is at some places; `silent` says which of them would not tell, and why."""

    instances: Sequence[tuple[OpenConnection[ResourceHandler], Instance]]
    silent: Sequence[str]
    passed_over: Sequence[str] = ()
    """Those that only a node definition names and that could not be searched: the cloud may be gone."""


@dataclass(frozen=True, slots=True)
class UsedConnections:
    """Connections to ask, each with one of the places it is for; `closed` says where there is none, and why."""

    links: Mapping[OpenConnection[ResourceHandler], Place]
    closed: Sequence[str]
    undeclared: Container[OpenConnection[ResourceHandler]] = frozenset()
    """Connections at which no instance was ever made, as far as the store knows."""

    @classmethod
    def of(
        cls, connections: Connections, store: Store, infra_id: str | None = None, but: Container[str] = ()
    ) -> UsedConnections:
        """Connect to everywhere the infrastructure ever had instances made; without id, everywhere anyone ever had.

        Several places at one provider are one connection. Those called as in `but` are left out. Raises `StoreError`.
        """
        links: dict[OpenConnection[ResourceHandler], Place] = {}
        lost = [settings for settings in store.places.lost(infra_id) if settings not in but]
        closed = {_lost(settings): None for settings in lost}
        for place in store.places.all(infra_id):
            if place.implementation.label in but:
                continue
            try:
                links.setdefault(connections.resource(place.implementation, place.connection), place)
            except (PluginError, DescriptionError) as error:
                closed[_unsearched(place, error)] = None
        return cls(links, list(closed))

    def with_definitions(self, connections: Connections, store: Store) -> UsedConnections:
        """Also the connections of the node definitions in the store, but for those that are templates.

        A store that was created again after a loss knows no others. Raises `StoreError`.
        """
        links = dict(self.links)
        for definition in store.definitions(store.definition_names()).values():
            for one in definition.implementations:
                with contextlib.suppress(PluginError, DescriptionError, _TemplateFoundError):
                    settings = connections.settings(one, _literal)
                    links.setdefault(connections.resource(one, settings), Place(one, settings))
        return UsedConnections(links, self.closed, frozenset(links) - frozenset(self.links))

    def among(self, links: Container[OpenConnection[ResourceHandler]]) -> UsedConnections:
        """Those on these connections, and those that there is no connection to."""
        return UsedConnections({link: place for link, place in self.links.items() if link in links}, self.closed)

    def heard(self, answers: Sequence[Outcome[list[Instance]]]) -> Inventory:
        """What the connections answered when they were asked what they own, in their order."""
        instances: list[tuple[OpenConnection[ResourceHandler], Instance]] = []
        silent: list[str] = []
        passed_over: list[str] = []
        for (link, place), answer in zip(self.links.items(), answers, strict=True):
            error = answer.error or (None if all(map(is_instance, answer.get())) else _INVALID)
            if error is not None:
                (passed_over if link in self.undeclared else silent).append(_unsearched(place, error))
            else:
                instances.extend((link, instance) for instance in answer.get())
        return Inventory(instances, silent, passed_over)


class _TemplateFoundError(Exception):
    """A setting of a connection is known only when an instance is made."""


def _literal(value: Any) -> Any:
    """The value itself. Raises `_TemplateFoundError`."""
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        raise _TemplateFoundError
    return value


def owned(link: OpenConnection[ResourceHandler], owner: Owner) -> list[Instance]:
    """Everything with the owner's tags. Raises `ProviderError`."""
    return list(link.plugin.list_owned(owner))


def _lost(settings: str) -> str:
    return f"{settings} cannot be searched for what may be left: no node definition in the store says how"


def _unsearched(place: Place, error: Exception) -> str:
    return f"{place.implementation.label} cannot be searched for what may be left: {reason(error)}"
