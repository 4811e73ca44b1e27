"""``python -m tests.torture.chef``: commands are killed at the boundaries of their steps, with nodes of a Chef server.

A run is one infrastructure from nothing to nothing, in which one command after another is killed: a build, its repeat,
a scaling, an update, the destruction. Nothing may be there twice, and in the end nothing may be left: no machine, and
at goiardi no node, client, role or environment.

The commands are forked from this process, which therefore makes no call of OpenSSL itself: a child that is forked while
a thread of its parent is in OpenSSL waits for the locks of that thread forever. An `Observer` asks goiardi.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from occopus_config_chef import Chef, objects
from occopus_config_chef.server import ChefServer
from occopus_config_chef.testing import Goiardi
from occopus_core.testing.processes import end
from occopus_core.testing.simcloud.process import SimulatedCloud

from . import boundaries, pace, process
from .acts import AFTER, ANSWERED, BEFORE, KILL, Act
from .chef_side import Observer
from .lane import FAST
from .world import LONGEST_LEASE, SPEED, now

PATIENCE = 300.0
"""Seconds after which a command is stuck, and what does not converge is hopeless."""
WORDS = ("old", "again", "maintain", "new", "destroy")
"""The commands that are killed, in their order; `again` is the build once more."""
_WEB = 2


class Failure(Exception):  # noqa: N818
    """What must not be, in words."""


class Machines:
    """The store, the cloud, the Chef server, and a process that does what the clients on the machines do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.db"
        self.cloud = SimulatedCloud(folder / "cloud.sqlite")
        self.goiardi = Goiardi()
        self._clients: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._processes: list[process.Process] = []

    def __enter__(self) -> Machines:
        self.cloud.start()
        self.goiardi.start()
        key = self.folder / "admin.pem"
        key.write_text(self.goiardi.key)
        self.chef = Observer(self.goiardi.endpoint, key)
        words = ["clients", self.goiardi.endpoint, str(key), self.cloud.endpoint]
        self._clients = subprocess.Popen([sys.executable, "-m", "tests.torture.chef_side", *words])
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._processes:
            each.kill()
        if self._clients is not None:
            end(self._clients, 10)
            self.chef.close()
        self.goiardi.__exit__()
        self.cloud.stop()

    def begin(self) -> None:
        """Nothing but the node definitions. Raises `Failure` where a run before has left something."""
        for file in (*self.folder.glob("store.db*"), *self.folder.glob("*.trace"), *self.folder.glob("*.log")):
            file.unlink()
        self.refuse([f"left of the run before: {each}" for each in (*self.chef.left(), *self.cloud.inventory())])
        self._processes.clear()
        self.run(("import_", "nodes.yaml"))

    def run(self, words: tuple[str, ...], act: Act | None = None) -> process.Process:
        """A command, killed where the act says so. Raises `Failure` where it is stuck or has an error of its own."""
        number = next(self._numbers)
        started = process.start(act or Act(words[0]), words, self.folder, number, "", str(number))
        self._processes.append(started)
        if not started.wait(PATIENCE):
            started.signal(signal.SIGUSR1)
            started.wait(1)
            raise Failure(f"'{' '.join(words)}' does not end")
        if started.code == process.CRASHED or "Traceback" in started.log.read_text():
            raise Failure(f"'{' '.join(words)}' ends with an error of its own")
        return started

    def rows(self, query: str) -> list[tuple]:
        """What the store answers."""
        import sqlite3  # noqa: PLC0415

        with contextlib.closing(sqlite3.connect(self.store, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    def await_lease(self) -> None:
        """Until the lease that a killed command has left is over."""
        for (expires,) in self.rows("SELECT lease_expires FROM infrastructures WHERE lease_expires IS NOT NULL"):
            time.sleep(min(max(0.0, expires - now()) / SPEED + 0.002, LONGEST_LEASE))

    def refuse(self, reasons: list[str]) -> None:
        """Raises `Failure` where there are any."""
        if reasons:
            raise Failure("; ".join(reasons[:5]))

    def journal(self) -> str:
        """What is known of a run that failed."""
        lines = [f"goiardi: {self.chef.left()}", f"cloud: {[one['token'] for one in self.cloud.inventory()]}"]
        for each in self._processes:
            lines += [f"== {each.act}: {each.code}", *each.boundaries[-30:], *each.log.read_text().splitlines()[-120:]]
        for table in ("instances", "configurations", "managers"):
            lines += [f"== {table}", *map(str, self.rows(f"SELECT * FROM {table}"))]
        return "\n".join(lines)

    def _write(self) -> None:
        config = {"type": "chef", "endpoint": self.goiardi.endpoint, "run_list": ["recipe[web]"]}
        definition = {
            "resource": {"type": "sim", "endpoint": self.cloud.endpoint, "boot_seconds": 0.02, "delete_seconds": 0.02},
            "contextualisation": {
                "type": "cloudinit", "context_template": {}, "attributes": {"port": "{{variables.port}}"}
            },
            "config_management": config,
            "health_check": {"ping": False, "timeout": PATIENCE * SPEED},
        }  # fmt: skip
        (self.folder / "nodes.yaml").write_text(json.dumps({"node_def:worker": [definition]}))
        for name, port in (("old", "1"), ("new", "2")):
            nodes = [
                {"name": "db", "type": "worker", "variables": {"port": port}},
                {"name": "web", "type": "worker", "variables": {"port": port}, "scaling": {"min": _WEB, "max": 4}},
            ]
            handed = {"connection": ["web", "db"], "mappings": [{"attributes": ["fqdn", "db.fqdn"], "synch": True}]}
            described = {"user_id": "me", "infra_name": "trial", "nodes": nodes, "dependencies": [handed]}
            (self.folder / f"{name}.yaml").write_text(json.dumps(described))
        auth = {"type": "chef", "auth_data": {"client_name": "admin", "client_key": self.goiardi.key}}
        file = self.folder / ".occopus" / "auth_data.yaml"
        file.parent.mkdir()
        file.touch(mode=0o600)
        file.write_text(json.dumps({"config_management": [auth]}))


def commands(word: str) -> tuple[str, ...]:
    """The words of a command line."""
    infra = ("-i", "trial")
    return {
        "old": ("build", *infra, "old.yaml"),
        "again": ("build", *infra, "old.yaml"),
        "more": ("scale", *infra, "-n", "web", "-c", "1"),
        "maintain": ("maintain", *infra),
        "new": ("build", *infra, "new.yaml"),
        "destroy": ("destroy", *infra),
        "sweep": ("maintain", "--sweep"),
    }[word]


class Course:
    """One run; `where` has, for each word, the boundary at which its command is killed."""

    def __init__(self, machines: Machines, where: dict[str, str]) -> None:
        self._machines = machines
        self._where = where
        self.reached: dict[str, list[str]] = {}
        self.kills: list[str] = []

    def go(self) -> None:
        """Raises `Failure`."""
        machines = self._machines
        machines.begin()
        for word in ("old", "again", "more", "maintain", "new"):
            self._command(word, self._where.get(word, ""))
            self._check()
        self._until(self._unsettled, "new")
        self._command("destroy", self._where.get("destroy", ""))
        self._check()
        self._until(lambda: machines.rows("SELECT id FROM infrastructures"), "destroy")
        machines.run(commands("sweep"))
        self._until(lambda: machines.rows("SELECT node_id FROM configurations"), "sweep")
        left = [*machines.chef.left(), *(one["token"] for one in machines.cloud.inventory())]
        machines.refuse([f"leaked: {each}" for each in left])

    def _command(self, word: str, where: str = "") -> None:
        if word != "old":
            self._machines.await_lease()
        ended = self._machines.run(commands(word), Act(word, KILL, where) if where else Act(word))
        self.reached[word] = ended.boundaries
        if ended.killed:
            self.kills.append(f"{word} {where}")

    def _until(self, left, word: str) -> None:
        """Repeat a command until nothing is left to be done."""
        deadline = time.monotonic() + PATIENCE
        while reasons := left():
            if time.monotonic() > deadline:
                raise Failure(f"'{word}' does not get to its end: {reasons}")
            self._machines.await_lease()
            self._command(word)

    def _check(self) -> None:
        """What holds at every moment at which no command is alive."""
        machines = self._machines
        tokens = Counter(one["token"] for one in machines.cloud.inventory())
        wrong = [f"duplicate: {count} machines of {token}" for token, count in tokens.items() if count > 1]
        known = {row[0] for row in machines.rows("SELECT node_id FROM configurations")}
        held = machines.chef.names("nodes")
        wrong += [f"leaked: no row knows the Chef node {name}" for name in held - known]
        used = {row[0] for row in machines.rows("SELECT infra_id FROM managers")}
        wrong += [
            f"leaked: no row knows of {name}" for name in machines.chef.names("environments") - used - {"_default"}
        ]
        machines.refuse(wrong)

    def _unsettled(self) -> list[str]:
        machines = self._machines
        rows = machines.rows("SELECT node_id, node_name, stage, provisional FROM instances")
        names = Counter(name for _, name, stage, provisional in rows if stage == "ready" and not provisional)
        if len(rows) != sum(names.values()) or names["db"] != 1 or not _WEB <= names["web"] <= _WEB + 1:
            return [str(rows)]
        if len(machines.cloud.inventory()) != len(rows):
            return ["machines that no row knows"]
        found = machines.chef.nodes()
        if {node["name"] for node in found} != {row[0] for row in rows}:
            return ["Chef nodes that no instance is"]
        return [f"{node['name']} is not as described" for node in found
                if node["normal"].get("port") != "2" or not objects.converged(node)]  # fmt: skip


def _around_calls(call, reached: boundaries.Boundaries):
    def around(self, method, path, body, query=None):
        name = f"{method.lower()}_{path[0]}"
        number = reached.reach(f"{BEFORE} {name}")
        try:
            return call(self, method, path, body, query)
        finally:
            # The effect is there, and nothing has read the answer.
            reached.reach(f"{ANSWERED} {name}", number)
            reached.reach(f"{AFTER} {name}", number)

    return around


def install() -> None:
    """Have the commands count the calls of the Chef server among their boundaries."""
    before = boundaries.Boundaries.install

    def installed(self) -> None:
        before(self)
        ChefServer._call = _around_calls(ChefServer._call, self)

    boundaries.Boundaries.install = installed
    for name in ("build", "destroy", "import_", "maintain", "scale"):
        importlib.import_module(f"occopus_core.cli.{name}")
    Chef.poll_seconds = (1.0, 5.0)
    pace.install()


def campaign(machines: Machines, kills: int, seed: int) -> Iterator[tuple[Course, str]]:
    """Runs until so many commands were killed, each with what is wrong with it: empty where nothing is."""
    rehearsal = Course(machines, {})
    rehearsal.go()
    rng = random.Random(seed)
    turns = {word: itertools.cycle(rng.sample(found, len(found))) for word, found in rehearsal.reached.items() if found}
    done = 0
    while done < kills:
        course = Course(machines, {word: next(turns[word]) for word in WORDS if word in turns})
        try:
            course.go()
        except Failure as failure:
            yield course, f"{failure}\n{course._where}\n{machines.journal()}"
            return
        done += len(course.kills)
        yield course, ""


def main() -> int:
    """1 where something was doubled or left."""
    made = argparse.ArgumentParser(prog="python -m tests.torture.chef", description=__doc__)
    made.add_argument("--kills", type=int, default=200, help="how many commands are killed (default: 200)")
    made.add_argument("--seed", type=int, default=1, help="of the order of the boundaries (default: 1)")
    options = made.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    counts: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="occopus-chef-", dir=FAST if FAST.is_dir() else None) as name:
        os.environ.update(HOME=name, OCCOPUS_STORE=f"sqlite:///{name}/store.db")
        install()
        with Machines(Path(name)) as machines:
            for course, failure in campaign(machines, options.kills, options.seed):
                counts["runs"] += 1
                counts["kills"] += len(course.kills)
                counts["at the Chef server"] += sum("_" in kill.rsplit(" ", 2)[-2] for kill in course.kills)
                if failure:
                    print(f"FAILED: {failure}", flush=True)
                    return 1
                if counts["runs"] % 10 == 0:
                    print(f"{time.monotonic() - began:.0f} s: {dict(counts)}", flush=True)
    print(
        f"{counts['kills']} kills in {counts['runs']} runs, {counts['at the Chef server']} of them around a call of the"
        f" Chef server, {time.monotonic() - began:.0f} s: nothing was doubled, nothing is left"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
