"""What was begun with an infrastructure, whether a process works on it, and the commands that finish or undo it."""

from __future__ import annotations

from occopus_core.descriptions.times import written
from occopus_core.store.records import Holding, InfrastructureState, Maintainer

_FINISHING = {
    InfrastructureState.BUILDING: "occopus-maintain -i {} carries it on",
    InfrastructureState.UPDATING: "occopus-maintain -i {} carries it on",
    InfrastructureState.ROLLING_BACK: "occopus-maintain -i {} finishes that",
    InfrastructureState.DROPPING: "occopus-destroy -i {} finishes that",
}
_OTHERWISE = {
    InfrastructureState.BUILDING: "occopus-destroy -i {} removes it",
    InfrastructureState.UPDATING: "occopus-build -i {} with the former description undoes it",
    InfrastructureState.ROLLING_BACK: "occopus-build -i {} builds a description in its place",
}


def commands(infra_id: str, state: InfrastructureState) -> str:
    """The commands that finish or undo what was begun. Raises `KeyError` for an infrastructure that is ready."""
    found = [_FINISHING[state], *([_OTHERWISE[state]] if state in _OTHERWISE else [])]
    return ", ".join(text.format(infra_id) for text in found)


def is_abandoned(
    state: InfrastructureState, holding: Holding | None, maintainer: Maintainer | None, now: float
) -> bool:
    """True if a build, an update, a rollback or a destruction was begun, and no process works on it."""
    return state in _FINISHING and not is_attended(holding, maintainer, now)


def is_attended(holding: Holding | None, maintainer: Maintainer | None, now: float) -> bool:
    """True if a process works on an infrastructure, or maintains it."""
    held = holding is not None and holding.until > now
    return held or (maintainer is not None and maintainer.is_alive(now))


def missing_text(infra_id: str, count: int) -> str:
    """The note about instances that are missing, where no process makes them: the command that does."""
    return f"{count:,} missing: occopus-maintain -i {infra_id} makes {'it' if count == 1 else 'them'}"


def working(holding: Holding | None, now: float) -> str:
    """The process that works on an infrastructure, or was killed a moment ago; empty if the lease is free."""
    if holding is None or holding.until <= now:
        return ""
    end = written(holding.until)
    return f"{holding.holder} works on it, or was killed: its lease ends at {end}, unless it renews it"


def abandoned_text(infra_id: str, state: InfrastructureState) -> str:
    """The line about an abandoned infrastructure in lists: only the command that finishes what was begun."""
    return f"no process works on it: {_FINISHING[state].format(infra_id)}"
