"""Finds the processes of Ansible's runs by their environment or command line, including those of a killed worker."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

MARKER = "OCCOPUS_ANSIBLE_JOB"
"""An environment variable of every process that a run starts: the path of its job's folder."""

_SECONDS = 10.0
_ASKED = ("environ", "cmdline", "status")


def sockets_of(job_id: str) -> Path:
    """The folder for the shared SSH connections of a run. Its path is short, since socket paths are limited."""
    return Path(tempfile.gettempdir(), f"occopus-ansible-{job_id}")


def end_all(beginning: str, job_ids: Sequence[str] = ()) -> None:
    """Kill the processes of runs, and return when none is left, or after about 10 seconds.

    These are processes whose marker has this prefix, and the shared SSH connections of these jobs, which have no
    marker: ssh overwrites its environment with its title.
    """
    deadline = time.monotonic() + _SECONDS
    titles = tuple(f"ssh: {sockets_of(job_id)}/" for job_id in job_ids)
    while found := [process for process in psutil.process_iter(_ASKED) if _belongs(process.info, beginning, titles)]:
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1.0)
        if time.monotonic() > deadline:
            return


def _belongs(info: Mapping[str, Any], beginning: str, titles: tuple[str, ...]) -> bool:
    if info["status"] == psutil.STATUS_ZOMBIE:
        return False
    title = " ".join(info["cmdline"] or ())
    return (info["environ"] or {}).get(MARKER, "").startswith(beginning) or title.startswith(titles)
