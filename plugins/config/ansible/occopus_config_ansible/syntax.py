"""Errors that Ansible itself finds in a playbook before it runs: missing modules, roles and imports."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from occopus_config_ansible.checking import Fault
from occopus_config_ansible.events import Outcomes, refusal_of
from occopus_config_ansible.folders import write_private
from occopus_config_ansible.values import as_yaml

Refusal = tuple[Fault, str]
"""The error, and the file that contains it: empty for a playbook that is a text."""
ACCEPTED: Refusal = (Fault(""), "")

_verdicts: dict[str, Future[Refusal | None]] = {}
_lock = threading.Lock()


def fault_of(job: Mapping[str, Any], secrets: Iterable[str], seconds: float) -> Refusal:
    """The error of ``ansible-playbook --syntax-check``, in one line; `ACCEPTED` without one.

    `ACCEPTED` also if there is no answer within `seconds`, and for playbooks with `requirements`, which are installed
    with the run: the run then reports errors. Answers are cached during the life of the process. Raises `OSError`.
    """
    if job["requirements"]:
        return ACCEPTED
    deadline = time.monotonic() + seconds
    key = _digest(job)
    with _lock:
        found = _verdicts.get(key)
        if found is None:
            mine = _verdicts[key] = Future()
    if found is not None:
        try:
            return found.result(max(0.0, deadline - time.monotonic())) or ACCEPTED
        except (TimeoutError, OSError):
            return ACCEPTED
    verdict = None
    try:
        verdict = _ask(job, secrets, seconds)
    finally:
        mine.set_result(verdict)
        if verdict is None:
            with _lock:
                _verdicts.pop(key, None)
    return verdict or ACCEPTED


def environment(folder: Path, roles_path: Iterable[str]) -> dict[str, str]:
    """The environment of every Ansible program; it writes only below `folder`."""
    found = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS": "ignore",
    }
    roles = os.pathsep.join(roles_path)
    return {**found, "ANSIBLE_ROLES_PATH": roles} if roles else found


def _ask(job: Mapping[str, Any], secrets: Iterable[str], seconds: float) -> Refusal | None:
    """Run the check; None if it does not answer in time."""
    with tempfile.TemporaryDirectory(prefix="occopus-ansible-") as name:
        folder = Path(name)
        write_private(folder / "playbook.yml", job["text"])
        write_private(folder / "extra_vars.yml", as_yaml(job["extra_vars"]))
        playbook = job["playbook"] or str(folder / "playbook.yml")
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        words = [program, "--syntax-check", "-i", "localhost,", "-e", f"@{folder / 'extra_vars.yml'}", playbook]
        try:
            ended = subprocess.run(
                words, check=False, env={**os.environ, **environment(folder, job["roles_path"])},
                cwd=Path(playbook).parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", timeout=seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
    found = refusal_of(ended.stdout, str(folder / "playbook.yml")) if ended.returncode else None
    if found is None:
        return ACCEPTED
    fault, file = found
    return fault._replace(message=Outcomes(secrets).redact(fault.message)), file


def _digest(job: Mapping[str, Any]) -> str:
    text = job["text"] or Path(job["playbook"]).read_text()
    asked = [job["playbook"], text, job["roles_path"], job["extra_vars"]]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
