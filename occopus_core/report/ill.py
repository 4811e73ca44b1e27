"""The output at the end of a single maintenance pass: which instances are ill, and when they are replaced."""

from __future__ import annotations

from occopus_core.report import ReportState, Snapshot, state_of
from occopus_core.report.built import printable


def ill_lines(snapshot: Snapshot) -> list[str]:
    """A line for each instance that is ill, but has not failed yet."""
    return [
        printable(f"ill: node '{name}' ({one.node_id[:8]}): {snapshot.note(one)}")
        for name, instances in snapshot.nodes.items()
        for one in instances
        if state_of(one) == ReportState.TEMP_FAILED.value
    ]
