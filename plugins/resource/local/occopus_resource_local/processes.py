"""Finds the processes of each node on this host, even after their parents have ended.

A process belongs to a node if its environment names the node's folder, if its output goes to the node's log, or if it
descends from such a process. While the supervisor lives, all of them descend from it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from occopus_core.api import PermanentError
from occopus_resource_local.folders import NodeFolder

MARKER = "OCCOPUS_NODE_DIR"
_OUTPUTS = (1, 2)


def members(folders: Iterable[NodeFolder]) -> dict[str, list[psutil.Process]]:
    """The living processes of each node, by token, from one scan of the process table."""
    table = {
        process.pid: process
        for process in psutil.process_iter(["ppid", "status", "environ"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
    }
    tokens = {str(folder.path): folder.token for folder in folders}
    marked = {pid: token for pid, process in table.items() if (token := _marked(process, tokens))}
    found: dict[str, list[psutil.Process]] = {token: [] for token in tokens.values()}
    for pid, process in table.items():
        if token := _inherited(pid, table, marked):
            found[token].append(process)
    return found


def send(process: psutil.Process, number: int) -> None:
    """Signal a process, unless its id has been reused. Raises `PermanentError`."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as exc:
        raise PermanentError(f"process {process.pid} of the node belongs to another user; end it by hand") from exc


def _marked(process: psutil.Process, tokens: Mapping[str, str]) -> str | None:
    """The node that the process names in its environment or output."""
    named = [Path((process.info["environ"] or {}).get(MARKER, "")).parent]
    for output in _OUTPUTS:
        with contextlib.suppress(OSError):
            log = Path(f"/proc/{process.pid}/fd/{output}").readlink().parent
            named += [log.parent] if log.name == "log" else []
    return next((tokens[str(folder)] for folder in named if str(folder) in tokens), None)


def _inherited(pid: int, table: Mapping[int, psutil.Process], marked: Mapping[int, str]) -> str | None:
    """The node that the process or its nearest ancestor names."""
    while pid in table:
        if pid in marked:
            return marked[pid]
        pid = table[pid].info["ppid"]
    return None
