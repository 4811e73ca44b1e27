"""Data that the services on one store share: maintained infrastructures, running services, recorded answers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from occopus_core.events import Event
from occopus_core.store import tables
from occopus_core.store.change import SKEW_SECONDS
from occopus_core.store.database import Database
from occopus_core.store.record_columns import Columns
from occopus_core.store.records import (
    PARKED,
    Condition,
    InfrastructureState,
    NoSuchInfrastructureError,
    Stage,
    StoreError,
)
from occopus_core.store.revisions import raise_revision
from occopus_core.store.row_conversion import event_row, understood

ANSWER_SECONDS = 24 * 3600.0
"""How long an answer can be repeated."""

MOST_ANSWERS = 100_000
"""How many answers are kept."""


class KeyReusedError(Exception):
    """The key of a request was used for another request."""


class TooManyKeysError(Exception):
    """Too many requests with keys came recently to store another one."""


class UnansweredError(Exception):
    """A request with this key was received, and its result is unknown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the body of an answer."""

    status: int
    body: Mapping[str, Any]


ANSWERS = Columns(Answer, tables.answers, others=("key", "request", "asked_at"))


class ServiceRows:
    """The rows that services share; see `Store.service`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ping(self) -> None:
        """Raise `StoreError` if the store is unavailable."""
        with self._database.reading() as connection:
            connection.execute(sa.select(tables.installation.c.id))

    # Maintained infrastructures and running services

    def mark(self, infra_id: str, *, maintained: bool) -> None:
        """Let services maintain an infrastructure, or stop that. Raises `NoSuchInfrastructureError`."""
        table = tables.infrastructures
        statement = table.update().where(table.c.id == infra_id).values(maintained=maintained)
        with self._database.writing() as connection:
            if not connection.execute(statement).rowcount:
                raise NoSuchInfrastructureError(infra_id)
            raise_revision(connection, [infra_id])
        if maintained:
            self.unpark(infra_id)

    def unpark(self, infra_id: str) -> None:
        """Let passes work on a parked infrastructure again. Idempotent."""
        table = tables.infrastructures
        parked = sa.and_(table.c.id == infra_id, table.c.frozen.startswith(PARKED, autoescape=True))
        with self._database.reading() as connection:  # usually the only query
            if connection.scalar(sa.select(sa.func.count()).select_from(table).where(parked)) == 0:
                return
        with self._database.writing() as connection:
            connection.execute(table.update().where(parked).values(frozen=""))
            raise_revision(connection, [infra_id])

    def maintained(self) -> list[str]:
        """The infrastructures that services maintain, oldest first, without those whose id is damaged."""
        table = tables.infrastructures
        query = sa.select(table.c.id).where(table.c.maintained).order_by(table.c.created_at, table.c.id)
        with self._database.reading() as connection:
            return [infra_id for infra_id in connection.scalars(query) if isinstance(infra_id, str)]

    def expired(self, now: float) -> list[str]:
        """The infrastructures whose life time is over, and that services do not maintain."""
        table = tables.infrastructures
        query = sa.select(table.c.id).where(table.c.expires_at <= now, ~table.c.maintained)
        with self._database.reading() as connection:
            return [infra_id for infra_id in connection.scalars(query) if isinstance(infra_id, str)]

    def first_builds(self) -> int:
        """The number of infrastructures whose first build is under way, or is being rolled back."""
        table = tables.infrastructures
        query = sa.select(sa.func.count()).where(table.c.wanted, table.c.description.is_(None))
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def states(self) -> dict[InfrastructureState, int]:
        """The number of infrastructures in each state."""
        table = tables.infrastructures
        state = sa.case(
            (~table.c.wanted, InfrastructureState.DROPPING.value),
            (table.c.rolling_back != "", InfrastructureState.ROLLING_BACK.value),
            (table.c.candidate.is_(None), InfrastructureState.READY.value),
            (table.c.description.is_(None), InfrastructureState.BUILDING.value),
            else_=InfrastructureState.UPDATING.value,
        )
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(state, sa.func.count()).group_by(state)).all()
        return {InfrastructureState(name): count for name, count in rows}

    def conditions(self) -> dict[tuple[Stage, Condition], int]:
        """The number of instances in each stage and condition; rows with an unknown one are left out."""
        table = tables.instances
        kind = (table.c.stage, table.c.condition)
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(*kind, sa.func.count()).group_by(*kind)).all()
        known: dict[tuple[Stage, Condition], int] = {}
        for stage, condition, count in rows:
            with contextlib.suppress(ValueError):  # another program may have written an unknown one
                known[Stage(stage), Condition(condition)] = count
        return known

    def frozen(self) -> int:
        """The number of infrastructures whose healing is frozen."""
        table = tables.infrastructures
        with self._database.reading() as connection:
            query = sa.select(sa.func.count()).select_from(table).where(table.c.frozen != "")
            return connection.scalar(query) or 0

    def stages(self) -> dict[str, int]:
        """The number of instances in each stage."""
        stage = tables.instances.c.stage
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(stage, sa.func.count()).group_by(stage)).all()
        return dict(rows)

    def beat(self, name: str, now: float, seconds: float) -> list[str]:
        """Announce that a service is running for this many seconds. Returns the names of all running services."""
        table = tables.services
        # An entry that lasts longer than any service announces was written before the system time was set back.
        over = sa.or_(table.c.expires <= now, table.c.expires > now + seconds + SKEW_SECONDS)
        with self._database.writing(brief=True) as connection:
            connection.execute(table.delete().where(sa.or_(over, table.c.name == name)))
            connection.execute(table.insert().values(name=name, expires=now + seconds))
            return list(connection.scalars(sa.select(table.c.name).order_by(table.c.name)))

    def leave(self, name: str) -> None:
        """The service has stopped. Idempotent."""
        with self._database.writing(brief=True) as connection:
            connection.execute(tables.services.delete().where(tables.services.c.name == name))

    # Answers

    def claim(self, key: str, request: str, now: float) -> Answer | None:
        """Reserve a key for a request, or return the recorded answer to the same request.

        Raises `KeyReusedError`, `UnansweredError`, `TooManyKeysError`.
        """
        table = tables.answers
        try:
            with self._database.writing() as connection:
                connection.execute(table.delete().where(table.c.asked_at < now - ANSWER_SECONDS))
                row = connection.execute(sa.select(table).where(table.c.key == key)).one_or_none()
                if row is None:
                    if (connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0) >= MOST_ANSWERS:
                        raise TooManyKeysError
                    connection.execute(table.insert().values(key=key, request=request, asked_at=now))
                    return None
        except StoreError as error:
            if isinstance(error.__cause__, sa.exc.IntegrityError):  # a concurrent request with the key
                raise UnansweredError from error
            raise
        if row.request != request:
            raise KeyReusedError
        if row.status is None:
            raise UnansweredError
        with understood("the answer to an earlier request"):
            return ANSWERS.of(row)

    def keep(self, key: str, answer: Answer) -> None:
        """Store the answer to the request with this key."""
        table = tables.answers
        with self._database.writing() as connection:
            connection.execute(table.update().where(table.c.key == key).values(ANSWERS.row(answer)))

    def forget(self, key: str) -> None:
        """The request with this key had no effect: it may be repeated."""
        with self._database.writing() as connection:
            connection.execute(tables.answers.delete().where(tables.answers.c.key == key))

    # Scaling

    def before_latest(self, infra_id: str, count: int) -> int:
        """The id of the event before the latest `count` events; 0 if there are no more than those."""
        table = tables.events
        query = sa.select(table.c.id).where(table.c.infra_id == infra_id).order_by(table.c.id.desc())
        with self._database.reading() as connection:
            return connection.scalar(query.offset(count).limit(1)) or 0

    def last_event(self, infra_id: str, node_name: str, kind: str, text: str | None = None) -> float | None:
        """When the last event of this kind, and this `text` if given, happened to a node (seconds since 1970)."""
        table = tables.events
        query = sa.select(sa.func.max(table.c.at)).where(
            table.c.infra_id == infra_id, table.c.node_name == node_name, table.c.kind == kind
        )
        if text is not None:
            query = query.where(table.c.text == text)
        with self._database.reading() as connection:
            at: float | None = connection.scalar(query)
        return at

    def add_event(self, at: float, event: Event) -> None:
        """Append to the log; `at` is in seconds since 1970. Raises `StoreError`."""
        with self._database.writing() as connection:
            connection.execute(tables.events.insert(), [event_row(at, event)])
