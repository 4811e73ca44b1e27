"""Requests for another description of an infrastructure."""

from __future__ import annotations

from collections.abc import Callable

from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.text import description_text
from occopus_core.events import Event, EventKind
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.records import InfrastructureRecord, WorkedOnError
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
    ) -> bool:
        """Request another description; needs no lease. False, without effect, if it was requested already.

        The infrastructure is not parked any more, and services look after it from then on if it is to be `maintained`.
        `refuse` is called with the record in the transaction, and may raise. Raises `NoSuchInfrastructureError`,
        `StoreError`, and `WorkedOnError` while another build is under way.
        """
        table = tables.infrastructures
        with self._database.writing() as connection:
            lock_infrastructures(connection, [infra_id])
            row = infrastructure_row(connection, infra_id)
            record = record_of(row)
            refuse(record)
            pending = record.candidate
            same = pending is not None and description_text(pending) == description_text(candidate)
            if same and not record.parked and (row.maintained or not maintained):
                return False
            if pending is not None and not same and row.lease_holder is not None and row.lease_expires > now:
                raise WorkedOnError(infra_id, str(row.lease_holder))
            values = {
                **INFRASTRUCTURES.encode({"candidate": candidate}),
                "maintained": row.maintained or maintained,
                **({"frozen": ""} if record.parked else {}),
            }
            connection.execute(table.update().where(table.c.id == infra_id).values(values))
            event = Event(EventKind.UPDATE_REQUESTED, infra_id)
            connection.execute(tables.events.insert(), [event_row(now, event)])
            raise_revision(connection, [infra_id])
        return True
