"""The processes of Ansible's runs, found by what they inherit or name: also those whose worker was killed."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

MARKER = "OCCOPUS_ANSIBLE_JOB"
"""An environment variable of everything that a run starts here: the path of its job's folder."""

_SECONDS = 10.0
_ASKED = ("environ", "cmdline", "status")


def sockets_of(job_id: str) -> Path:
    """The folder for the shared SSH connections of a run. It has a short path: those of sockets may not be long."""
    return Path(tempfile.gettempdir(), f"occopus-ansible-{job_id}")


def end_all(beginning: str, job_ids: Sequence[str] = ()) -> None:
    """Kill what belongs to runs, and return once nothing is left, or after about 10 seconds.

    That is every process whose marker begins so, and the shared SSH connections of these jobs, which have no marker:
    ssh writes its title over its environment.
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
