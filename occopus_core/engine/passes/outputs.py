"""What instances have printed, as their providers keep it: for people who ask."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from occopus_core.api.deadline import within
from occopus_core.api.resource import Feature, InstanceId, ResourceHandler
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.instance.output import has_logs, last_lines, split_output
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.error_text import reason
from occopus_core.events import EventKind
from occopus_core.registry import PluginError
from occopus_core.store.records import InstanceRecord, StoredEvent
from occopus_core.store.repository import Store

READ_SECONDS = 20.0
"""Seconds after which a provider that does not answer is waited for no longer."""

AT_ONCE = 8
"""Providers that are asked side by side."""

MOST_LINES = 10_000
"""The most lines of one instance that can be asked for."""

LINE_LENGTH = 4_000
"""Longer lines are cut."""

_FAILURES = frozenset({EventKind.NODE_FAILED.value, EventKind.HEALING.value})
"""Events that have the last output of an instance."""


@dataclass(frozen=True, slots=True)
class InstanceOutput:
    """The last lines of the output of one instance, without control characters and secrets."""

    node_name: str
    node_id: str
    lines: tuple[str, ...] = ()
    problem: str = ""
    """Why there is no output; empty where there is."""
    failed: bool = False
    """True where the provider could not be asked."""
    kept_at: float | None = None
    """When the lines were kept (seconds since 1970): those of an instance that failed and is gone, or of a job."""
    of_job: bool = False
    """True where a job of a configuration manager has printed them that failed and left the instance in service."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one connection is asked for."""

    handler: ResourceHandler
    label: str
    records: list[InstanceRecord]


def outputs(
    connections: Connections,
    store: Store,
    records: Sequence[InstanceRecord],
    lines: int,
    since: float | None = None,
) -> list[InstanceOutput]:
    """The output of each instance; with `since` (seconds since 1970) only what was printed after that.

    Blocks for `READ_SECONDS` at the most. What a provider refuses is in the answer of its instances. Raises
    `StoreError`.
    """
    groups: dict[object, _Asked] = {}
    found: dict[str, InstanceOutput] = {}
    implementations = store.implementations_of(records)
    for record in records:
        if record.instance_id is None or not record.connection:
            found[record.node_id] = _without(record, "its provider has not made it yet")
            continue
        implementation = implementations[record.implementation]
        try:
            link = connections.resource(implementation, record.connection)
        except (PluginError, DescriptionError) as error:
            found[record.node_id] = _without(record, str(error), failed=True)
            continue
        groups.setdefault(link, _Asked(link.plugin, implementation.label, [])).records.append(record)
    if groups:
        ask = functools.partial(_ask, connections, min(lines, MOST_LINES), since)
        with ThreadPoolExecutor(min(AT_ONCE, len(groups)), thread_name_prefix="occopus-logs") as threads:
            for answered in threads.map(ask, groups.values()):
                found.update(answered)
    return [found[record.node_id] for record in records]


def kept(events: Iterable[StoredEvent]) -> list[InstanceOutput]:
    """The output that was kept of instances when they failed, in the order of the log; the last of each instance."""
    found: dict[str, InstanceOutput] = {}
    for event in events:
        lines = _lines_of(event)
        if event.kind in _FAILURES and lines:
            found.pop(event.node_id, None)
            found[event.node_id] = InstanceOutput(event.node_name, event.node_id, lines, kept_at=event.at)
    return list(found.values())


def failed_jobs(events: Iterable[StoredEvent]) -> dict[str, InstanceOutput]:
    """What was kept of the last failed reconfiguration of each instance, by node id."""
    return {
        event.node_id: InstanceOutput(event.node_name, event.node_id, lines, kept_at=event.at, of_job=True)
        for event in events
        if event.kind == EventKind.NODE_UNHEALTHY.value and (lines := _lines_of(event))
    }


def _lines_of(event: StoredEvent) -> tuple[str, ...]:
    """The lines of output in the text of an event."""
    return tuple(line.removeprefix("    ") for line in split_output(event.text)[1].splitlines())


def _ask(connections: Connections, lines: int, since: float | None, asked: _Asked) -> Mapping[str, InstanceOutput]:
    if not has_logs(asked.handler):
        return _all(asked, f"{asked.label} gives no output of its instances")
    if since is not None and Feature.LOGS_SINCE not in asked.handler.features:
        return _all(asked, f"{asked.label} does not say when its instances have printed something")
    ids = [record.instance_id for record in asked.records if record.instance_id is not None]
    try:
        found = within(
            READ_SECONDS, lambda: last_lines(asked.handler, ids, lines, connections.redact, LINE_LENGTH, since)
        )
    except TimeoutError:
        return _all(asked, f"{asked.label} has not answered for {READ_SECONDS:g} s", failed=True)
    except Exception as error:  # noqa: BLE001  # whatever a plugin raises concerns its own instances alone
        return _all(asked, connections.redact(reason(error)), failed=True)
    return {record.node_id: _read(record, found) for record in asked.records}


def _read(record: InstanceRecord, found: Mapping[InstanceId, list[str] | None]) -> InstanceOutput:
    lines = found.get(record.instance_id) if record.instance_id is not None else None
    if lines is None:
        return _without(record, "its provider has no output of it")
    return InstanceOutput(record.node_name, record.node_id, tuple(lines))


def _all(asked: _Asked, problem: str, *, failed: bool = False) -> Mapping[str, InstanceOutput]:
    return {record.node_id: _without(record, problem, failed=failed) for record in asked.records}


def _without(record: InstanceRecord, problem: str, *, failed: bool = False) -> InstanceOutput:
    return InstanceOutput(record.node_name, record.node_id, problem=problem, failed=failed)
