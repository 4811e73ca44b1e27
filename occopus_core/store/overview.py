"""An overview of all infrastructures: their names, their states, and the health of their instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from occopus_core.descriptions.serial import typed
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.maintainers import read_maintainers
from occopus_core.store.records import Condition, InfrastructureState, Maintainer, SpoiltError, Stage
from occopus_core.store.row_conversion import moment, understood
from occopus_core.store.wanted_counts import wanted_count


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The summary of an infrastructure, from few of its columns. Times are seconds since 1970."""

    id: str
    name: str
    state: InfrastructureState
    maintained: bool
    """True if services maintain it."""
    frozen: str
    """Why healing is frozen; empty if it is not."""
    created_at: float
    target: int
    """The wanted number of instances."""
    instances: Mapping[tuple[Stage, Condition], int]
    outdated: int = 0
    """The number of instances that were made or configured with other addresses than those of now."""
    expires_at: float | None = None
    """When its life time ends; None without an end."""
    maintainer: Maintainer | None = None
    """The process that maintains it periodically, or the last one if that was killed; None without one."""
    unreadable: str = ""
    """Why it cannot be read, if one of its rows is damaged; the other fields except its id are empty then."""
    rolling_back: str = ""
    """Why a build is being rolled back; empty if none is."""
    seen_at: float | None = None
    """When its instances were last looked at; None where that is unknown."""


class Overview:
    """Reads glimpses; see `Store.overview`. Makes three queries for any number of infrastructures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Glimpse]:
        """All infrastructures, oldest first, including those with a damaged row. Raises `StoreError`."""
        return self._read(sa.true(), sa.true())

    def one(self, infra_id: str) -> Glimpse | None:
        """One infrastructure; None if it does not exist. Raises `StoreError`."""
        here, there = tables.infrastructures.c.id == infra_id, tables.instances.c.infra_id == infra_id
        return next(iter(self._read(here, there)), None)

    def _read(self, chosen: sa.ColumnElement[bool], theirs: sa.ColumnElement[bool]) -> list[Glimpse]:
        table, instances = tables.infrastructures, tables.instances
        kind = (instances.c.infra_id, instances.c.stage, instances.c.condition)
        outdated = sa.func.sum(sa.case((instances.c.outdated != "[]", 1), else_=0))
        counting = sa.select(*kind, sa.func.count(), outdated).where(theirs).group_by(*kind)
        columns = [table.c[name] for name in _COLUMNS]
        described, rolls_back = table.c.description.is_not(None), table.c.rolling_back != ""
        updated = sa.case((table.c.wanted & described & ~rolls_back, table.c.candidate), else_=sa.null())
        settled = [described, table.c.candidate.is_not(None), updated]
        query = sa.select(*columns, *settled).where(chosen).order_by(table.c.created_at, table.c.id)
        counts: dict[str, dict[tuple[Stage, Condition], int]] = {}
        faults: dict[str, str] = {}
        left: Counter[str] = Counter()
        with self._database.reading() as connection:
            for infra_id, stage, condition, count, behind in connection.execute(counting):
                left[infra_id] += behind
                try:
                    with understood(f"an instance of '{infra_id}'"):
                        counts.setdefault(infra_id, {})[Stage(stage), Condition(condition)] = count
                except SpoiltError as error:
                    faults[infra_id] = str(error)
            rows = connection.execute(query).all()
            maintainers = read_maintainers(connection)
        known = [_glimpse(row, counts.get(row.id, {}), maintainers.get(row.id), faults.get(row.id, "")) for row in rows]
        return [replace(one, outdated=left[one.id]) for one in known]


_COLUMNS = (
    "id",
    "name",
    "wanted",
    "maintained",
    "frozen",
    "rolling_back",
    "created_at",
    "targets",
    "expires_at",
    "seen_at",
)


def _glimpse(
    row: Sequence[Any], instances: Mapping[tuple[Stage, Condition], int], maintainer: Maintainer | None, fault: str
) -> Glimpse:
    infra_id, name, wanted, maintained, frozen, rolling_back, created_at, targets, expires_at, seen_at, *settled = row
    described, candidate, updated = settled
    undone = bool(rolling_back)
    state = InfrastructureState.of(wanted=wanted, described=described, under_way=candidate, rolling_back=undone)
    known = Glimpse(
        *(str(infra_id), str(infra_id), state, bool(maintained), "", 0.0, 0, instances),
        maintainer=maintainer,
        unreadable=fault,
    )
    try:
        with understood(f"the infrastructure '{infra_id}'"):
            return replace(
                known,
                id=typed(infra_id, str),
                name=typed(name, str),
                frozen=typed(frozen, str),
                rolling_back=typed(rolling_back, str),
                created_at=moment(created_at),
                expires_at=None if expires_at is None else typed(expires_at, float),
                seen_at=None if seen_at is None else moment(seen_at),
                target=wanted_count(targets, updated),
            )
    except SpoiltError as error:
        return replace(known, unreadable=str(error))
