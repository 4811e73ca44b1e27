"""The commands as users run them: separate processes, with their own home and store."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from occopus_core.testing.simcloud.process import SimulatedCloud
from tests.forking import SCRIPTS, Command

LONGEST = 600.0
"""Seconds after which a command counts as stuck."""
DEEP = ("LANG", "LC_", "PYTHON")
"""The prefixes of environment variables that Python reads at its start."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a command. The code is the one that a shell shows, also if a signal ended the process."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> list[str]:
        """The lines of stderr. There is no traceback among them."""
        assert "Traceback" not in self.stderr
        return self.stderr.splitlines()


class Script(subprocess.Popen[str]):
    """A console script that is running. It is killed where a test fails in its `with`: it may never end."""

    def __exit__(self, kind, error, traceback) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, error, traceback)


class Workspace:
    """A folder to work in, a home, a store, and the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.store = folder / "store.db"
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TZ", "PYTHONPATH") if key in os.environ}
        self.environ = {**kept, "HOME": str(self.home), "OCCOPUS_STORE": f"sqlite:///{self.store}"}

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    def start(
        self, command: str, *words: str, before: Sequence[str] = (), environ: dict[str, str | None] | None = None, **how
    ) -> Command | Script:
        """``occopus-COMMAND`` with these words; an environment variable that is None is not set.

        It is forked from a process that has imported the project, or else the console script, where that could differ.
        """
        changed = {**self.environ, **(environ or {})}
        env = {key: value for key, value in changed.items() if value is not None}
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        line = [*before, SCRIPTS / f"occopus-{command}", *words]
        differs = any(one != os.environ.get(key) for key, one in changed.items() if key.startswith(DEEP))
        if before or differs:
            return Script(line, cwd=self.folder, env=env, text=True, **how)
        return Command(line, cwd=self.folder, env=env, **how)

    def run(self, command: str, *words: str, **how) -> Ended:
        return self.end(self.start(command, *words, **how))

    def end(self, process: Command | Script) -> Ended:
        with process:
            stdout, stderr = process.communicate(timeout=LONGEST)
        return Ended(shell_code(process), stdout or "", stderr or "")

    def ready(self, command: str, *words: str, **how) -> Ended:
        """Run a command that must succeed."""
        ended = self.run(command, *words, **how)
        assert ended.code == 0, ended
        return ended

    def run_to_line(
        self, number: int, pause: float, what: signal.Signals, command: str, *words: str
    ) -> tuple[Ended, list[str]]:
        """Run a command and signal it `pause` seconds after this many lines on stderr; returns also the lines before
        that.

        Until the command has set up its signal handlers, those of the interpreter apply; 0 lines means right after
        that.
        """
        with self.start(command, *words) as process:
            wait_until(lambda: catches(process.pid, signal.SIGTERM))
            lines = [line for _, line in zip(range(number), process.stderr, strict=False)]
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(pause)
            process.send_signal(what)
            stderr = "".join([*lines, *process.stderr])
            stdout = process.stdout.read()
            process.wait(LONGEST)
        return Ended(shell_code(process), stdout, stderr), lines

    def query(self, statement: str, *values: object) -> list[tuple]:
        with contextlib.closing(sqlite3.connect(self.store, timeout=60)) as connection:
            return connection.execute(statement, values).fetchall()

    def rows(self, infra_id: str) -> int:
        """The number of rows of an infrastructure and of its instances."""
        ((infrastructures,),) = self.query("SELECT count(*) FROM infrastructures WHERE id = ?", infra_id)
        ((instances,),) = self.query("SELECT count(*) FROM instances WHERE infra_id = ?", infra_id)
        return infrastructures + instances

    def await_lease(self, infra_id: str) -> None:
        """Wait until the lease of an infrastructure, perhaps left by a killed process, has expired."""
        free = "SELECT 1 FROM infrastructures WHERE id = ? AND coalesce(lease_expires, 0) <= ?"
        wait_until(lambda: self.query(free, infra_id, time.time()))

    def report(self, infra_id: str) -> dict:
        return json.loads(self.ready("maintain", "-r", "-i", infra_id, "-o", "json").stdout)


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; Python by itself has one for SIGINT alone."""
    (mask,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


def wait_until(condition: Callable[[], object], seconds: float = LONGEST) -> object:
    """Wait for a condition that depends on other processes; returns its value. The limit only stops a failing test."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {condition}"
        time.sleep(0.01)
    return value


def shell_code(process: Command | Script) -> int:
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


class Cloud(SimulatedCloud):
    """A simulated cloud that also writes the files for itself."""

    def definitions(self, *types: str, **resource: object) -> str:
        """A file with these node definitions, in the flow style of YAML, which is JSON."""
        settings = {"type": "sim", "endpoint": self.endpoint, **resource}
        implementation = {
            "resource": settings,
            "contextualisation": {"type": "cloudinit", "context_template": {"hostname": "{{ name }}"}},
            "health_check": {"ping": False},
        }
        return json.dumps({f"node_def:{type}": [implementation] for type in types})

    @property
    def created(self) -> set[str]:
        """The tokens of all create calls."""
        return {token for call in self.log() if call["operation"] == "create" for token in call["tokens"]}

    def machines(self, infra_id: str) -> list[dict]:
        """What there is of an infrastructure, half-made and departing things included."""
        return [machine for machine in self.inventory() if machine["owner"]["infra_id"] == infra_id]


def infrastructure(
    *nodes: str, type: str = "worker", min: int = 1, edges: Sequence[tuple[str, str]] = (), name: str = "trial"
) -> str:
    """A description with these nodes, all alike."""
    described = [{"name": node, "type": type, "scaling": {"min": min, "max": min + 1}} for node in nodes]
    return json.dumps({"user_id": "me", "infra_name": name, "nodes": described, "dependencies": edges})


@pytest.fixture(scope="session")
def describe():
    return infrastructure


@pytest.fixture(scope="session")
def new_workspace():
    """Makes a workspace in a folder."""
    return Workspace


@pytest.fixture
def kill_node():
    """Kills the processes of one `local` node, or only those with these words in their command."""

    def kill(user, node_id, *words):
        for process in psutil.process_iter(["environ", "cmdline"]):
            environ, command = process.info["environ"] or {}, process.info["cmdline"] or []
            here = environ.get("OCCOPUS_NODE_DIR", "").startswith(str(user.home))
            if here and environ["OCCOPUS_NODE_ID"] == node_id and set(words) <= set(command):
                with contextlib.suppress(psutil.NoSuchProcess):  # one may end with another
                    process.kill()

    return kill


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def cloud_process():
    with Cloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(cloud_process):
    """An empty simulated cloud."""
    cloud_process.reset()
    return cloud_process


@pytest.fixture
def new_cloud():
    """Makes a simulated cloud with options of its own."""
    return Cloud


@pytest.fixture
def ready(workspace, cloud, describe):
    """A workspace with the definition `worker` imported and the description `trial.yaml` of three nodes."""
    workspace.ready("import", workspace.write("nodes.yaml", cloud.definitions("worker")))
    workspace.write("trial.yaml", describe("db", "web", "lb", edges=[("web", "db"), ("lb", "web")]))
    return workspace


@pytest.fixture
def until():
    """Waits for a condition about other processes."""
    return wait_until


@pytest.fixture
def ill(ready, cloud, describe):
    """A workspace with the infrastructure `ill`, one of whose two nodes has failed; it is made again in a second."""
    ready.ready("import", ready.write("slow.yaml", cloud.definitions("slow", boot_seconds=1)))
    ready.write("ill.yaml", describe("db", "web", type="slow"))
    ready.ready("build", "ill.yaml", "-i", "ill", "--parallelize")
    cloud.change(cloud.machines("ill")[0]["id"], "fail")
    return ready


@pytest.fixture
def assert_carried_on(ill, cloud):
    """Checks that the next pass over `ill` continues the work of an earlier one, and makes nothing twice."""

    def check() -> None:
        begun = ill.query("SELECT token FROM instances WHERE infra_id = 'ill' AND stage <> 'dropping'")
        ill.await_lease("ill")  # a process that did not wait for a hanging call may have left it
        ill.ready("maintain", "-i", "ill", "--parallelize")
        assert sorted((one["token"],) for one in cloud.machines("ill")) == sorted(begun)
        assert ill.query("SELECT stage FROM instances WHERE infra_id = 'ill'") == [("ready",)] * 2
        assert len(cloud.created) == 3, "two at first, and one in place of the one that failed"

    return check


@pytest.fixture(scope="session")
def ec2_process():
    missing = [name for name in ("moto", "flask", "flask_cors") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"{missing[0]} is not installed: pip install './plugins/resource/ec2[testing]' in a checkout of Occopus"
        )
    from occopus_resource_ec2.testing import Ec2Cloud  # noqa: PLC0415

    with Ec2Cloud() as cloud:
        yield cloud
