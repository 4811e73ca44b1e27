"""The life time of an infrastructure: set by builds, warned of before its end, and then destroyed by maintenance."""

from __future__ import annotations

from occopus_core.descriptions.model import Infrastructure
from occopus_core.descriptions.times import EXPECTED, end_of, moment_of, refuse_too_late, seconds_of, written
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.planning.design import refuse_over
from occopus_core.engine.planning.plan import MovedEnd
from occopus_core.events import Event, EventKind
from occopus_core.store.change import Change
from occopus_core.store.records import NO_END, InfrastructureRecord, Lease, LifeTime

NEVER = "never"
"""In the place of an end: there is none."""


def first_life_time(candidate: Infrastructure, now: float, end: float | None = None) -> LifeTime:
    """That of a new infrastructure; `end` takes precedence over its description."""
    if end is None:
        end = end_of(candidate.expires, now) if candidate.expires else None
    return NO_END if end is None else LifeTime.until(end, now)


def next_life_time(
    record: InfrastructureRecord, candidate: Infrastructure, now: float, end: float | None = None
) -> LifeTime | None:
    """That of an infrastructure brought to another description; None where it stays as it is.

    A description that says the same as before moves nothing: the end may have been moved by `--extend`. Before the
    first build has ended, the description of that counts as the one before.
    """
    if end is None and record.current.expires == candidate.expires:
        return None
    return first_life_time(candidate, now, end)


def requested_life_time(candidate: Infrastructure, now: float, record: InfrastructureRecord) -> LifeTime | None:
    """That of an infrastructure while another description waits to be built; None where it stays as it is.

    The end of what is in force stays until the build. The first build is another one from the request on.
    """
    return next_life_time(record, candidate, now) if record.description is None else None


def refuse_past_end(
    candidate: Infrastructure, now: float, record: InfrastructureRecord | None = None, end: float | None = None
) -> None:
    """Refuse a description that brings an end which has passed already; `end` takes precedence over its own.

    One that says the same as the description in force is accepted: it moves no end. Raises `InvalidDesignError`.
    """
    if end is None and (record is None or next_life_time(record, candidate, now) is not None):
        refuse_over(candidate, now)


def moved_end(
    record: InfrastructureRecord, candidate: Infrastructure, now: float, end: float | None = None
) -> MovedEnd | None:
    """The end that a build brings, see `next_life_time`; None where it stays as it is."""
    life_time = next_life_time(record, candidate, now, end)
    if life_time is None or life_time.expires_at == record.expires_at:
        return None
    return MovedEnd(record.expires_at, life_time.expires_at)


def move_end(
    change: Change, record: InfrastructureRecord, candidate: Infrastructure, now: float, end: float | None
) -> str:
    """Record the life time that a build brings. Returns the new end in words; empty where it stays as it is."""
    moved = moved_end(record, candidate, now, end)
    if moved is None:
        return ""
    life_time = NO_END if moved.after is None else LifeTime.until(moved.after, now)
    change.put_life_time(life_time.expires_at, life_time.warns_at)
    return moved.text


class LifeTimeError(ValueError):
    """The end of an infrastructure cannot be moved so; the message says why."""


def extended(record: InfrastructureRecord, by: str, now: float) -> LifeTime:
    """Its life time with another end: later by a duration, a time, or ``never``. Raises `LifeTimeError`."""
    if by.strip() == NEVER:
        return NO_END
    lasts = seconds_of(by)
    if lasts is not None and record.expires_at is None:
        raise LifeTimeError(f"'{record.id}' has no life time to be extended: give a time such as 2026-12-24T18:00Z")
    end = moment_of(by) if lasts is None or record.expires_at is None else record.expires_at + lasts
    if end is None:
        raise LifeTimeError(f"expected {EXPECTED}, or {NEVER}, got '{by}'")
    try:
        refuse_too_late(by, record.expires_at or now)
    except ValueError as error:
        raise LifeTimeError(str(error)) from None
    if end <= now:
        raise LifeTimeError(f"{written(end)} is over already")
    return LifeTime.until(end, now)


def attend(context: PassContext, lease: Lease, record: InfrastructureRecord) -> InfrastructureRecord:
    """Warn of the end of a life time, or ask for the destruction of what is over; the record as it is then.

    Raises `LeaseLostError`, `StoreError`.
    """
    store, now = context.resources.store, context.resources.loop.clock.now()
    if not is_due(record, now) or record.expires_at is None or not record.wanted:
        return record
    end = written(record.expires_at)
    over = record.expires_at <= now
    if over:
        event = Event(EventKind.EXPIRED, context.infra_id, text=f"its life time ended at {end}: it is destroyed")
    else:
        how = f"occopus-maintain -i {context.infra_id} --extend DURATION moves that"
        event = Event(EventKind.EXPIRING, context.infra_id, text=f"it is destroyed at {end}; {how}")
    with store.changing(lease) as change:
        change.put_life_time(record.expires_at, None)
        if over:
            change.request_destroy()
        change.add_events([(now, event)])
        change.then(lambda: context.resources.observer(event))
    return store.infrastructure(context.infra_id)


def is_due(record: InfrastructureRecord, now: float) -> bool:
    """Whether a warning, or the destruction, is due."""
    return record.due_at is not None and record.due_at <= now
