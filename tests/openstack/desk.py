"""A user: a home with credentials and a store, and the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SCRIPTS = Path(sys.executable).parent
LONGEST = 300
"""Seconds after which a command counts as stuck."""


class Desk:
    def __init__(self, folder, account):
        self.folder, self.account = folder, account
        self._started = []
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OCCOPUS_STORE": f"sqlite:///{folder}/store.db",
            "OCCOPUS_AUTH_DATA_PATH": str(folder / "auth.yaml"),
        }
        self.credentials({"type": "nova", "auth_data": account.auth})

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def credentials(self, *entries):
        Path(self.write("auth.yaml", json.dumps({"resource": entries}))).chmod(0o600)

    def define(self, *resources, node="worker", timeout=120):
        """Import a definition with these implementations; how the import ended."""
        implementations = [
            {
                "resource": resource,
                "contextualisation": {"type": "cloudinit", "context_template": {"hostname": "{{ name }}"}},
                "health_check": {"ping": False, "timeout": timeout},
            }
            for resource in resources
        ]
        return self.ready("import", self.write(f"{node}.nodes.yaml", json.dumps({f"node_def:{node}": implementations})))

    def describe(self, name="trial", node="worker", **scaling):
        """A description of one node, and the words that build it."""
        nodes = [{"name": "web", "type": node, "scaling": {"min": 1, "max": 30, **scaling}}]
        return self.write(f"{name}.yaml", json.dumps({"user_id": "me", "infra_name": name, "nodes": nodes})), "-i", name

    def start(self, command, *words):
        process = subprocess.Popen(
            [SCRIPTS / f"occopus-{command}", *words],
            cwd=self.folder,
            env=self.environ,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # an interruption of the tests is none of the command
        )
        self._started.append(process)
        return process

    def end(self, process):
        """Wait for a command; its output must contain neither tracebacks nor secrets."""
        with process:
            try:
                stdout, stderr = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert "Traceback" not in stderr
        assert self.account.auth["password"] not in stdout + stderr
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def run(self, command, *words):
        return self.end(self.start(command, *words))

    def ready(self, command, *words):
        """Run a command that must succeed."""
        ended = self.run(command, *words)
        assert ended.returncode == 0, ended.stderr
        return ended

    def close(self):
        """End the commands that a failed test left behind, and destroy what was built with them."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        for infra in json.loads(self.ready("maintain", "-l", "-o", "json").stdout)["infrastructures"]:
            self.ready("destroy", "-i", infra["infraid"])

    def instances(self, infra_id):
        report = json.loads(self.ready("maintain", "-r", "-i", infra_id, "-o", "json").stdout)
        return {name: list(node["instances"].values()) for name, node in report.items()}


def until(condition: Callable[[], object], seconds: float = 60.0) -> object:
    """Wait for a condition about other processes; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {condition}"
        time.sleep(0.2)
    return value
