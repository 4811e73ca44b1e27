"""Starts the supervisor of a node."""

from __future__ import annotations

import os
import select
import subprocess
import sys

from occopus_core.api import TransientError
from occopus_resource_local import supervisor
from occopus_resource_local.folders import NodeFolder, Record
from occopus_resource_local.processes import MARKER


def start_supervisor(folder: NodeFolder, record: Record, scripts: dict[str, str], timeout: float) -> None:
    """Start it, detached from this process and its terminal; return when it has recorded itself.

    Idempotent: a second supervisor exits at once. Raises `OSError`, `TransientError`.
    """
    folder.write_stages(scripts)
    # -I -S: without site-packages it starts in about 20 ms and stays small.
    words = [sys.executable, "-I", "-S", supervisor.__file__, str(folder.path), *scripts]
    log = os.open(folder.log / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            words,
            cwd=folder.work,
            env=os.environ | _environment(folder, record),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    if not _ended(process, timeout):
        raise TransientError(f"the supervisor of {folder.path} did not start within {timeout:g} s")
    if process.returncode:
        raise TransientError(f"the supervisor of {folder.path} did not start; see {folder.log / 'supervisor.log'}")


def _ended(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for a process to end, without the polling of `Popen.wait`. False, after killing it, if it takes too long."""
    descriptor = os.pidfd_open(process.pid)
    try:
        ended = bool(select.select([descriptor], [], [], timeout)[0])
    finally:
        os.close(descriptor)
    if not ended:
        process.kill()
    process.wait()
    return ended


def _environment(folder: NodeFolder, record: Record) -> dict[str, str]:
    return {
        MARKER: str(folder.work),
        "OCCOPUS_NODE_ADDRESS": record.address,
        "OCCOPUS_NODE_ID": record.owner.node_id or "",
        "OCCOPUS_NODE_NAME": record.owner.node_name or "",
        "OCCOPUS_INFRA_ID": record.owner.infra_id or "",
    }
