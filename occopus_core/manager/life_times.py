"""Moves the end of the life time of infrastructures."""

from __future__ import annotations

from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.passes.building import refuse_unwanted
from occopus_core.engine.passes.life_time import extended
from occopus_core.engine.planning.plan import MovedEnd
from occopus_core.events import Event, EventKind
from occopus_core.store.records import InfrastructureRecord
from occopus_core.store.repository import Store


def extend(store: Store, record: InfrastructureRecord, by: str) -> float | None:
    """See `InfrastructureManager.extend`."""
    now = SystemClock().now()
    refuse_unwanted(record)
    life_time = extended(record, by, now)
    end = life_time.expires_at
    text = MovedEnd(record.expires_at, end).text
    store.put_life_time(record.id, life_time, Event(EventKind.LIFE_TIME_CHANGED, record.id, text=text), now)
    return end
