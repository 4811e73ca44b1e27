"""The list of infrastructures: a table for people, lines and rows for programs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from occopus_core.report import ReportState, state_at
from occopus_core.report.maintenance import maintained_text, maintainer_of, written
from occopus_core.report.seen import LATEST_SECONDS, age, is_current
from occopus_core.report.under_way import abandoned_text, is_abandoned, is_attended, missing_text
from occopus_core.store.records import PARKED, InfrastructureState, InfrastructureSummary

_HEADS = ("ID", "NAME", "STATE", "HEALTH", "AGE", "MAINTAINED BY", "NOTE")


def listed_table(summaries: Sequence[InfrastructureSummary], width: int) -> str:
    """A table for a terminal of this width; ids are shortened on a narrow one."""
    from occopus_core.report.tables import is_roomy, shortened, table_text  # noqa: PLC0415  # programs do not wait for it

    rows = _rows(summaries, {})
    if not is_roomy(_HEADS, rows, width):
        rows = _rows(summaries, shortened([one.id for one in summaries]))
    return table_text(_HEADS, rows, width)


def _rows(summaries: Sequence[InfrastructureSummary], short: Mapping[str, str]) -> list[Sequence[str]]:
    now = time.time()
    return [
        (
            *(short.get(one.id, one.id), one.name, one.state.value, health(one)),
            *(age(now - one.created_at), _maintained_by(one, now), "; ".join(_notes(one, now))),
        )
        for one in summaries
    ]


def listed_lines(summaries: Sequence[InfrastructureSummary]) -> list[str]:
    """A line for each, with its id first and tabs between the fields."""
    lines = []
    for one in summaries:
        instances = f"{one.instances:,} instance{'' if one.instances == 1 else 's'}"
        all_ready = {ReportState.READY.value: one.target} if one.target else {}
        ill = [] if states(one) == all_ready else [health(one)]
        held = [*_unattended(one, time.time()), *([_held(one)] if one.frozen else []), *_outdated(one)]
        seen = [] if (since := _stale(one, time.time())) is None else [f"as of {written(since)}"]
        end = [f"expires {written(one.expires_at)}"] if one.expires_at is not None else []
        maintained = [maintained_text(one.maintainer, time.time())] if one.maintainer is not None else []
        lines.append("\t".join([one.id, one.name, one.state.value, instances, *ill, *held, *seen, *end, *maintained]))
    return lines


def listed_rows(summaries: Sequence[InfrastructureSummary]) -> list[dict[str, Any]]:
    """The same for JSON and YAML, with times in ISO 8601."""
    return [
        {
            "infraid": one.id,
            "name": one.name,
            "state": one.state.value,
            "instances": one.instances,
            "target": one.target,
            "health": states(one),
            "outdated": one.outdated,
            "created_at": written(one.created_at),
            "frozen": one.frozen,
            "expires_at": None if one.expires_at is None else written(one.expires_at),
            "maintainer": maintainer_of(one.maintainer, time.time()),
            "seen_at": None if one.seen_at is None else written(one.seen_at),
        }
        for one in summaries
    ]


def states(summary: InfrastructureSummary) -> dict[str, int]:
    """The number of instances in each present state, better states first."""
    found: Counter[str] = Counter()
    for (stage, condition), count in summary.counts.items():
        found[state_at(stage, condition)] += count
    return {state.value: found[state.value] for state in ReportState if found[state.value]}


def health(summary: InfrastructureSummary) -> str:
    """How many of the wanted instances are ready, and the number in each other state: `2/3 ready, 1 failed`."""
    found = states(summary)
    ready = found.pop(ReportState.READY.value, 0)
    others = [f"{count:,} {state}" for state, count in found.items()]
    return ", ".join([f"{ready:,}/{summary.target:,} ready", *others])


def _maintained_by(summary: InfrastructureSummary, now: float) -> str:
    maintainer = summary.maintainer
    if maintainer is None:
        return "-"
    if maintainer.is_alive(now):
        return f"{maintainer.name} since {written(maintainer.since)}"
    return f"- ({maintainer.name} was last seen at {written(maintainer.seen)})"


def _notes(summary: InfrastructureSummary, now: float) -> list[str]:
    notes = [*_unattended(summary, now), *([_held(summary)] if summary.frozen else []), *_outdated(summary)]
    if (since := _stale(summary, now)) is not None:
        notes.append(f"as of {age(now - since)} ago")
    if summary.expires_at is not None:
        alive = summary.maintainer is not None and summary.maintainer.is_alive(now)
        notes.append(f"expires {written(summary.expires_at)}{'' if alive else ' if it is maintained then'}")
    return notes


def _stale(summary: InfrastructureSummary, now: float) -> float | None:
    """When the states were seen, if that is long ago and known, and no process works on the infrastructure."""
    seen_at = summary.seen_at
    if seen_at is None or summary.state is InfrastructureState.DROPPING or not summary.instances:
        return None
    current = is_current(seen_at, summary.maintainer, summary.holding, now)
    return None if current or now - seen_at <= LATEST_SECONDS else seen_at


def _unattended(summary: InfrastructureSummary, now: float) -> list[str]:
    """That no process goes on with what was begun, or makes the missing instances; and the command that does."""
    if is_abandoned(summary.state, summary.holding, summary.maintainer, now):
        return [abandoned_text(summary.id, summary.state)]
    missing = summary.target - summary.instances + states(summary).get(ReportState.SHUTDOWN.value, 0)
    attended = is_attended(summary.holding, summary.maintainer, now) or summary.frozen.startswith(PARKED)
    if missing <= 0 or attended or summary.state is not InfrastructureState.READY:
        return []
    return [missing_text(summary.id, missing)]


def _outdated(summary: InfrastructureSummary) -> list[str]:
    return [f"{summary.outdated:,} outdated"] if summary.outdated else []


def _held(summary: InfrastructureSummary) -> str:
    return "parked" if summary.frozen.startswith(PARKED) else "frozen"
