"""Requests for another description of an infrastructure."""

from __future__ import annotations

from collections.abc import Callable, Collection

import sqlalchemy as sa

from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.text import same_description
from occopus_core.events import Event, EventKind
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.definition_uses import defined_types
from occopus_core.store.records import InfrastructureRecord, LifeTime, WorkedOnError
from occopus_core.store.revisions import lock_infrastructures, raise_revision
from occopus_core.store.row_conversion import INFRASTRUCTURES, event_row, infrastructure_row, record_of


class UpdateRows:
    """Sets the description that the next maintenance pass builds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(
        self,
        infra_id: str,
        candidate: Infrastructure,
        now: float,
        refuse: Callable[[InfrastructureRecord], None],
        *,
        maintained: bool = False,
        check_types: Callable[[Collection[str]], None] | None = None,
        life_time: Callable[[InfrastructureRecord], LifeTime | None] = lambda _record: None,
    ) -> bool:
        """Request another description; needs no lease. False, without effect, if it was already requested.

        The infrastructure is no longer parked, and services maintain it from then on if it is to be `maintained`. An
        abandoned rollback is not finished. `refuse` is called with the record in the transaction, and may raise. Raises
        `NoSuchInfrastructureError`, `StoreError`, and `WorkedOnError` while a build in progress has created instances,
        is rolled back, or is the first one. `check_types` is called in the transaction, too, with the types of its
        nodes that have a definition. `life_time` returns the one that counts from the request on, None for the current
        one.
        """
        table = tables.infrastructures
        with self._database.writing() as connection:
            lock_infrastructures(connection, [infra_id])
            row = infrastructure_row(connection, infra_id)
            record = record_of(row)
            refuse(record)
            pending = record.candidate
            unlike = record.rolling_back or record.candidate_definitions
            same = same_description(pending, candidate) and not unlike
            if same and not record.parked and (row.maintained or not maintained):
                return False
            leased = row.lease_holder is not None and row.lease_expires > now
            begun = pending is not None and not same and _is_begun(connection, record)
            if leased and (begun or record.rolling_back):
                raise WorkedOnError(infra_id, str(row.lease_holder))
            if check_types is not None:
                check_types(defined_types(connection, candidate))
            moved = life_time(record)
            values = {
                **INFRASTRUCTURES.encode({"candidate": candidate, "candidate_definitions": {}, "rolling_back": ""}),
                **({} if moved is None else {"expires_at": moved.expires_at, "warns_at": moved.warns_at}),
                "maintained": row.maintained or maintained,
                **({"frozen": ""} if record.parked else {}),
                # A frozen process in a rollback must not finish it any more.
                **({"epoch": row.epoch + 1} if record.rolling_back else {}),
            }
            connection.execute(table.update().where(table.c.id == infra_id).values(values))
            event = Event(EventKind.UPDATE_REQUESTED, infra_id)
            connection.execute(tables.events.insert(), [event_row(now, event)])
            raise_revision(connection, [infra_id])
        return True


def _is_begun(connection: sa.Connection, record: InfrastructureRecord) -> bool:
    """True if a build of its candidate has begun. The lease alone may be held by another pass."""
    table = tables.instances
    made = sa.select(sa.exists().where(table.c.infra_id == record.id, table.c.provisional))
    return record.description is None or bool(record.candidate_definitions) or bool(connection.scalar(made))
