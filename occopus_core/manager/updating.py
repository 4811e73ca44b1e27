"""Conditions for another description of an infrastructure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from occopus_core.api.spelling import did_you_mean
from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.text import description_digest
from occopus_core.engine.passes.building import refuse_unwanted
from occopus_core.manager.errors import ChangedMeanwhileError, NoSuchNodeError
from occopus_core.store.records import InfrastructureRecord


def wanted_description(record: InfrastructureRecord) -> Infrastructure:
    """The description that was requested last: that of a build in progress, or the one in force."""
    return record.candidate or record.current


def refuse_undescribed(infrastructure: Infrastructure, node_names: Iterable[str]) -> None:
    """Raise `NoSuchNodeError` for the first name that is not that of a node of the description."""
    nodes = [node.name for node in infrastructure.nodes]
    for name in node_names:
        if name not in nodes:
            hint = did_you_mean(name, nodes) or f"; it has: {', '.join(nodes)}"
            raise NoSuchNodeError(f"the description '{infrastructure.name}' has no node '{name}'{hint}")


def refuse_update(candidate: Infrastructure, replaces: str | Collection[str], record: InfrastructureRecord) -> None:
    """Refuse to replace a description with another digest than `replaces`, or those; an empty one stands for any.

    Raises `ChangedMeanwhileError`, and `BusyError` if the infrastructure is being destroyed.
    """
    refuse_unwanted(record)
    present = description_digest(wanted_description(record))
    known = {replaces} if isinstance(replaces, str) else set(replaces)
    if replaces and present not in known | {description_digest(candidate)}:
        raise ChangedMeanwhileError(record.id)
