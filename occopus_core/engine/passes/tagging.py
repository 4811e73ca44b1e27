"""Finds instances whose tags were changed by others, by the ids in the store, and restores the tags if possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from occopus_core.api.resource import Feature, Instance, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.engine.instance.observe import ask_each, describe
from occopus_core.engine.kernel.error_text import reason
from occopus_core.engine.kernel.loop import Steps
from occopus_core.engine.passes.resources import Resources
from occopus_core.engine.passes.used_connections import UsedConnections
from occopus_core.store.records import InstanceRecord, Stage

_GONE = frozenset({InstanceState.ABSENT, InstanceState.DELETING})


def look_for_untagged(
    resources: Resources, places: UsedConnections, records: Iterable[InstanceRecord], *, repair: bool
) -> Steps[list[str]]:
    """Describe instances whose tags differ from their rows; with `repair`, write the tags again where supported.

    A connection that does not answer is skipped: the search for strays reports it.
    """
    by_connection: dict[str, list[InstanceRecord]] = {}
    for record in records:
        if record.stage is Stage.READY and record.instance_id is not None:
            by_connection.setdefault(record.connection, []).append(record)
    rows = {link: by_connection.get(place.connection, []) for link, place in places.links.items()}
    links = [link for link, there in rows.items() if there]
    installation = resources.store.installation
    answers = yield from ask_each(
        resources.loop,
        lambda: None,
        links,
        "describe",
        lambda link: _look(link.plugin, rows[link], installation, repair=repair),
    )
    return [
        f"{places.links[link].implementation.label} {line}"
        for link, answer in zip(links, answers, strict=True)
        for line in (answer.value or ())
    ]


def _look(handler: ResourceHandler, records: Sequence[InstanceRecord], installation: str, *, repair: bool) -> list[str]:
    """Runs in the pool. Raises `ProviderError`."""
    wanted = {record.instance_id: record for record in records if record.instance_id is not None}
    found = describe(handler, list(wanted))
    lost = {
        id: Owner(installation, record.infra_id, record.node_name, record.node_id)
        for id, record in wanted.items()
        if _differs(found[id].value, record, installation)
    }
    if not lost:
        return []
    outcomes = _marked(handler, lost, wanted) if repair else dict.fromkeys(lost, "")
    return [
        f"{id}, node '{wanted[id].node_name}' of '{wanted[id].infra_id}', has lost its tags{outcomes[id]}"
        for id in lost
    ]


def _differs(instance: Instance | None, record: InstanceRecord, installation: str) -> bool:
    if instance is None or instance.state in _GONE:
        return False
    owner = instance.owner
    return instance.token != record.token or owner is None or not Owner(installation, record.infra_id).matches(owner)


def _marked(
    handler: ResourceHandler, lost: Mapping[InstanceId, Owner], records: Mapping[InstanceId, InstanceRecord]
) -> dict[InstanceId, str]:
    """The result of writing the tags again, by instance id, as the end of a sentence."""
    if Feature.MARK not in handler.features:
        return dict.fromkeys(lost, "; its provider cannot write them again")
    outcomes = {}
    for id, owner in lost.items():
        try:
            handler.mark(id, owner, records[id].token)
            outcomes[id] = "; they were written again"
        except Exception as error:  # noqa: BLE001 - a failure is reported, and affects no other instance
            outcomes[id] = f"; they could not be written again: {reason(error)}"
    return outcomes
