"""Derives the state of a node from its folder and processes."""

from __future__ import annotations

import os
import re

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState, PermanentError
from occopus_resource_local.folders import NodeFolder, Record, boot_id

_TAIL = 8192
"""The number of bytes at the end of a log that are searched for its last line."""
_LONGEST = 300
"""The most characters of a line in a reason."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def look(folder: NodeFolder) -> Instance:
    """The current state of the node. Changes nothing. Raises `OSError`."""
    if not folder.exists():
        return _instance(folder, None, InstanceState.ABSENT)
    deleting = folder.is_deleting()  # before the record, which is removed last
    try:
        record = folder.record()
    except PermanentError as exc:
        return _instance(folder, None, InstanceState.UNKNOWN, "damaged", exc.message)
    if record is None and not folder.exists():
        return _instance(folder, None, InstanceState.ABSENT)
    exits = folder.exits()
    state, reason = (InstanceState.DELETING, "") if deleting else _state(folder, record, exits)
    raw_state = ", ".join(f"{stage} {status}" for stage, status in exits.items())
    return _instance(folder, record, state, raw_state, reason)


def _instance(
    folder: NodeFolder, record: Record | None, state: InstanceState, raw_state: str = "", reason: str = ""
) -> Instance:
    return Instance(
        id=InstanceId(folder.token),
        state=state,
        addresses=(Address(record.address, AddressKind.PRIVATE),) if record else (),
        token=folder.token,
        owner=record.owner if record else None,
        raw_state=raw_state,
        reason=reason,
    )


def _state(folder: NodeFolder, record: Record | None, exits: dict[str, int]) -> tuple[InstanceState, str]:
    if record is None:
        return InstanceState.PROVISIONING, "its record has not been written yet"
    if any(status and stage != "command" for stage, status in exits.items()):
        written = _last_line(folder, "write_files") if exits.get("write_files") else ""
        return InstanceState.FAILED, written or _outcome(folder, exits)
    if record.boot_id != boot_id():
        return InstanceState.STOPPED, "this host was restarted since"
    if folder.supervisor() is None:
        return InstanceState.PROVISIONING, "its supervisor has not been started yet"
    if folder.living_supervisor() is None:
        return InstanceState.STOPPED, _outcome(folder, exits) or "its supervisor was ended from outside"
    return InstanceState.READY, _outcome(folder, exits)


def _outcome(folder: NodeFolder, exits: dict[str, int]) -> str:
    """The failed stages, or the outcome of a node's only command."""
    return "; ".join(
        f"{folder.command_of(stage)} ended {_how(status)}{_said(folder, stage)}"
        for stage, status in exits.items()
        if status or stage == "command"
    )


def _said(folder: NodeFolder, stage: str) -> str:
    line = _last_line(folder, stage)
    return f": {line}" if line else ""


def _how(status: int) -> str:
    return f"by signal {-status}" if status < 0 else f"with exit status {status}"


def _last_line(folder: NodeFolder, stage: str) -> str:
    """The last line of a stage's output, without colours; empty without output or without log."""
    try:
        with (folder.log / f"{stage}.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            lines = _COLOURS.sub("", log.read().decode(errors="replace")).splitlines()
    except FileNotFoundError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    shown = "".join(one for one in last if one.isprintable())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
