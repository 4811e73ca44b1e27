"""Conditions for another description of an infrastructure."""

from __future__ import annotations

from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.text import description_digest
from occopus_core.engine.passes.building import refuse_unwanted
from occopus_core.manager.errors import ChangedMeanwhileError
from occopus_core.store.records import InfrastructureRecord


def wanted_description(record: InfrastructureRecord) -> Infrastructure:
    """The description that was requested last: that of a build under way, or the one in force."""
    return record.candidate or record.current


def refuse_update(candidate: Infrastructure, replaces: str, record: InfrastructureRecord) -> None:
    """Refuse to replace a description with another digest than `replaces`; an empty text stands for any.

    Raises `ChangedMeanwhileError`, and `BusyError` if the infrastructure is being destroyed.
    """
    refuse_unwanted(record)
    present = description_digest(wanted_description(record))
    if replaces and present not in {replaces, description_digest(candidate)}:
        raise ChangedMeanwhileError(record.id)
