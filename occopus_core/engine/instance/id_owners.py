"""Finds the instance that an id belongs to already: another one is neither made nor deleted by that id."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from occopus_core.api.resource import InstanceId
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.work import Work
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.guard import BreachError, wrong_answer
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.registry import PluginError
from occopus_core.store.records import InstanceRecord, Stage
from occopus_core.store.repository import Store


class IdOwners:
    """The instances of an infrastructure by their ids, and those of the other infrastructures in its store.

    Two instances that are both to be deleted may have the same id.
    """

    def __init__(
        self, infra_id: str, works: Callable[[], Iterable[Work]], store: Store, connections: Connections
    ) -> None:
        """`works` returns all instances of the infrastructure that have a row."""
        self._infra_id = infra_id
        self._works = works
        self._store = store
        self._connections = connections

    def breach(self, work: Work, what: str, id: InstanceId) -> BreachError | None:
        """The error for `what`, a method of its handler, that answers the id of another instance for `work`.

        It looks at the instances of this infrastructure.
        """
        for other in self._works():
            has_id = other.record.instance_id == id and other.link is work.link
            if has_id and other is not work and not (other.dropping and work.dropping):
                return _taken(work, what, id, f"an instance of '{other.node_name}'")
        return None

    def breaches(self, ids: Mapping[Work, InstanceId]) -> Mapping[InstanceId, BreachError]:
        """The error of `create` for each id of these instances that an instance of another infrastructure has, too.

        The instances have one connection. Runs in the pool. Raises `StoreError`.
        """
        found: dict[InstanceId, BreachError] = {}
        works = {id: work for work, id in ids.items()}
        link = next((work.link for work in ids), None)
        for id, other in rows_of(self._store, self._connections, link, works).items():
            work = works[id]
            if other.infra_id != self._infra_id and not (other.stage is Stage.DROPPING and work.dropping):
                holder = f"an instance of '{other.node_name}' of the infrastructure '{other.infra_id}'"
                found[id] = _taken(work, "create", id, holder)
        return found


def rows_of(
    store: Store, connections: Connections, link: OpenConnection[Any] | None, ids: Collection[InstanceId]
) -> Mapping[InstanceId, InstanceRecord]:
    """The rows of all infrastructures that have one of these ids on this connection. Raises `StoreError`.

    Of several rows with an id, one that is not to be deleted comes first.
    """
    records = store.instances_by_id(ids)
    implementations = store.implementations_of(records)
    found: dict[InstanceId, InstanceRecord] = {}
    for record in sorted(records, key=lambda record: record.stage is not Stage.DROPPING):
        try:
            is_there = connections.resource(implementations[record.implementation], record.connection) is link
        except (PluginError, DescriptionError):  # its plugin is gone, or its credentials are wrong now
            is_there = False
        if is_there and record.instance_id is not None:
            found[record.instance_id] = record
    return found


def _taken(work: Work, what: str, id: InstanceId, holder: str) -> BreachError:
    return wrong_answer(work.handler, what, f"answered the id '{id}', which {holder} has")
