"""Searches every connection ever used for instances, including those that no row names."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api.resource import Instance, ResourceHandler
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.observe import Owned
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.guard import BreachError
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.registry import PluginError
from occopus_core.store.records import Place
from occopus_core.store.repository import Store


@dataclass(frozen=True, slots=True)
class UnsearchedPlace:
    """A place that could not be searched. As text, it is a message for users."""

    name: str
    """The label of its implementation, or the settings of a lost one: see `PlaceRows.forget`."""
    why: str
    broken: bool = False
    """True if its plugin cannot be loaded or breaks its contract, which says nothing of the cloud."""

    def __str__(self) -> str:
        return f"{self.name} cannot be searched for remaining instances: {self.why}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """The instances at some places; `silent` has the places that did not answer, with reasons."""

    instances: Sequence[tuple[OpenConnection[ResourceHandler], Instance]]
    silent: Sequence[UnsearchedPlace]
    passed_over: Sequence[UnsearchedPlace] = ()
    """Places known only from a node definition that could not be searched: the cloud may be gone."""


@dataclass(frozen=True, slots=True)
class UsedConnections:
    """Connections to ask, each with one of its places; `closed` has the places without a connection, with reasons."""

    links: Mapping[OpenConnection[ResourceHandler], Place]
    closed: Sequence[UnsearchedPlace]
    undeclared: Container[OpenConnection[ResourceHandler]] = frozenset()
    """Connections on which no instance was ever made, as far as the store knows."""

    @classmethod
    def of(
        cls, connections: Connections, store: Store, infra_id: str | None = None, but: Container[str] = ()
    ) -> UsedConnections:
        """Open the connections that the infrastructure ever used; without id, those that any infrastructure used.

        Several places at one provider share a connection. Places with names in `but` are left out. Raises `StoreError`.
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
        """Also the connections of the node definitions in the store, except those that contain templates.

        A store that was created again after a loss knows no other connections. Raises `StoreError`.
        """
        links = dict(self.links)
        for definition in store.definitions(store.definition_names()).values():
            for one in definition.implementations:
                with contextlib.suppress(PluginError, DescriptionError, _TemplateFoundError):
                    settings = connections.settings(one, _literal)
                    links.setdefault(connections.resource(one, settings), Place(one, settings))
        return UsedConnections(links, self.closed, frozenset(links) - frozenset(self.links))

    def among(self, links: Container[OpenConnection[ResourceHandler]]) -> UsedConnections:
        """The connections that are in `links`, and the places without a connection."""
        return UsedConnections({link: place for link, place in self.links.items() if link in links}, self.closed)

    def heard(self, answers: Sequence[Outcome[Owned]]) -> Inventory:
        """The inventory from the connections' answers, which are in their order."""
        instances: list[tuple[OpenConnection[ResourceHandler], Instance]] = []
        silent: list[UnsearchedPlace] = []
        passed_over: list[UnsearchedPlace] = []
        for (link, place), answer in zip(self.links.items(), answers, strict=True):
            found, fault = answer.value or ([], answer.error)
            if fault is not None:
                (passed_over if link in self.undeclared else silent).append(_unsearched(place, fault))
            instances.extend((link, instance) for instance in found)
        return Inventory(instances, silent, passed_over)


class _TemplateFoundError(Exception):
    """A connection setting contains a template, which is rendered only when an instance is made."""


def _literal(value: Any) -> Any:
    """Return the value. Raises `_TemplateFoundError`."""
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        raise _TemplateFoundError
    return value


def _lost(settings: str) -> UnsearchedPlace:
    return UnsearchedPlace(settings, "no node definition in the store has it")


def _unsearched(place: Place, error: Exception) -> UnsearchedPlace:
    is_installed = isinstance(error, PluginError) and error.state is not None
    return UnsearchedPlace(place.implementation.label, reason(error), isinstance(error, BreachError) or is_installed)
