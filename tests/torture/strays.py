"""``python -m tests.torture.strays``: a command stands still, another one destroys, and the first one goes on.

In each trial a build, a scaling or a repair is stopped (SIGSTOP) right before one of its creations leaves the process,
when the lease has been checked. Once the lease has run out, `occopus-destroy` takes over and removes everything.
Then the first command goes on (SIGCONT): its creation reaches the cloud, and makes what nothing in the store knows.
When it has ended, which is after the consistency window of the cloud, nothing may be left there.

Clouds are the simulated one and EC2 as the tests have it. Everything is forked from this process.
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
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from occopus_core.testing.simcloud.process import SimulatedCloud

from . import boundaries, pace, process
from .acts import AFTER, BEFORE, PAUSE, Act
from .lane import FAST

PATIENCE = 300.0
"""Seconds after which a command is stuck."""

GOING = frozenset({"deleting", "shutting-down", "terminated"})
"""States of what is not left."""

DONE, GONE = 0, 3
"""How a destruction may end: there is nothing any more in either case."""

INFRA = ("-i", "trial")
COMMANDS = {
    "import": ("import_", "nodes.yaml"),
    "build": ("build", *INFRA, "trial.yaml"),
    "scale": ("scale", *INFRA, "-n", "web", "-c", "2"),
    "maintain": ("maintain", *INFRA),
    "destroy": ("destroy", *INFRA),
}
OPERATIONS: dict[str, tuple[tuple[str, ...], str, int]] = {
    "build": ((), "build", 4),
    "parallel build": ((), "parallel", 4),
    "scaling": (("build", "scale"), "maintain", 2),
    "repair": (("build", "fail"), "maintain", 1),
}
"""What is done before, the command that stands still, and how many creations it makes."""
COMMANDS["parallel"] = (*COMMANDS["build"], "--parallelize")
MEANWHILE = (0.0, 0.0, 1.5)
"""How many windows of the cloud pass, beyond the lease, before the command goes on."""


class Failure(Exception):  # noqa: N818
    """What must not be, in words."""


class Cloud(Protocol):
    """A cloud under trial."""

    speed: float
    """How many seconds of the commands pass in one of ours."""
    window: float
    """Its consistency window, in seconds of the commands."""

    def __enter__(self) -> Cloud: ...
    def __exit__(self, *_: object) -> None: ...
    def reset(self) -> None: ...
    def resource(self) -> dict[str, Any]:
        """The `resource` section of a node definition."""

    def left(self) -> Sequence[str]:
        """What is there and is not being deleted."""

    def made(self) -> int:
        """How many creations have reached it."""

    def fail(self, id: str) -> None:
        """Have an instance fail by itself."""


class Simulated:
    """The simulated cloud."""

    speed, window = pace.SPEED, pace.WINDOW

    def __init__(self, folder: Path) -> None:
        self._cloud = SimulatedCloud(folder / "cloud.sqlite")

    def __enter__(self) -> Simulated:
        self._cloud.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._cloud.stop()

    def reset(self) -> None:
        self._cloud.reset()

    def resource(self) -> dict[str, Any]:
        times = {"boot_seconds": 0.02, "delete_seconds": 0.02}
        return {"type": "sim", "endpoint": self._cloud.endpoint, **times}

    def left(self) -> list[str]:
        return [one["id"] for one in self._cloud.inventory() if one["state"] not in GOING]

    def made(self) -> int:
        return sum(call["operation"] == "create" for call in self._cloud.log())

    def fail(self, id: str) -> None:
        self._cloud.change(id, "fail", "by the trial")


class Ec2:
    """EC2 as the tests have it: moto, in a process of its own."""

    speed = 10.0

    def __init__(self, folder: Path) -> None:
        from occopus_resource_ec2 import testing  # noqa: PLC0415
        from occopus_resource_ec2.handler import Ec2Handler  # noqa: PLC0415

        self.window = Ec2Handler.consistency_window
        self._cloud, self._names = testing.Ec2Cloud(), testing
        keys = {"accesskey": testing.ACCESS_KEY, "secretkey": testing.SECRET_KEY}
        file = folder / ".occopus" / "auth_data.yaml"
        file.parent.mkdir()
        file.touch(mode=0o600)
        file.write_text(json.dumps({"resource": [{"type": "ec2", "auth_data": keys}]}))

    def __enter__(self) -> Ec2:
        self._cloud.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._cloud.stop()

    def reset(self) -> None:
        self._cloud.reset()

    def resource(self) -> dict[str, Any]:
        account = {"type": "ec2", "endpoint": self._cloud.endpoint, "regionname": self._names.REGION}
        return {**account, "image_id": self._names.IMAGE, "instance_type": "t3.micro"}

    def left(self) -> list[str]:
        return [one["id"] for one in self._cloud.inventory() if one["state"] not in GOING]

    def made(self) -> int:
        return self._cloud.calls().get("RunInstances", 0)

    def fail(self, id: str) -> None:
        self._cloud.set_state(id, "terminated")


CLOUDS: dict[str, type[Simulated] | type[Ec2]] = {"sim": Simulated, "ec2": Ec2}


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: the operation, the creation at which it stands still, and for how many windows."""

    operation: str
    at: int
    meanwhile: float


def trials(seed: int) -> Iterator[Trial]:
    """Trials without an end; the same for the same seed."""
    rng = random.Random(seed)
    while True:
        for name in rng.sample(list(OPERATIONS), len(OPERATIONS)):
            yield Trial(name, rng.randint(1, OPERATIONS[name][2]), rng.choice(MEANWHILE))


class Course:
    """Makes trials, one after another, on one cloud."""

    def __init__(self, folder: Path, cloud: Cloud, mutant: str = "") -> None:
        self._folder = folder
        self._mutant = mutant
        self._store = folder / "store.db"
        self._cloud = cloud
        self._numbers = itertools.count()
        self._processes: list[process.Process] = []
        definition = {"resource": cloud.resource(), "health_check": {"ping": False}}
        (folder / "nodes.yaml").write_text(json.dumps({"node_def:worker": [definition]}))
        nodes = [
            {"name": "db", "type": "worker"},
            {"name": "web", "type": "worker", "scaling": {"min": 3, "max": 6}},
        ]
        described = {"user_id": "me", "infra_name": "trial", "nodes": nodes, "dependencies": [["web", "db"]]}
        (folder / "trial.yaml").write_text(json.dumps(described))

    def make(self, trial: Trial) -> bool:
        """Whether something was made too late. Raises `Failure` where it is left."""
        try:
            return self._make(trial)
        except Failure as failure:
            raise Failure(f"{trial}: {failure}\n{self._journal()}") from None
        finally:
            for each in self._processes:
                each.kill()

    def _make(self, trial: Trial) -> bool:
        self._begin()
        before, word, _ = OPERATIONS[trial.operation]
        for each in before:
            self._fail() if each == "fail" else self._expect(self._run(each), DONE)
        number = trial.at
        stopped = self._run(word, Act(word, PAUSE, f"{BEFORE} create {number}"))
        if not stopped.paused:
            raise Failure(f"'{word}' never stood still")
        self._await_lease()
        self._expect(self._run("destroy"), DONE, GONE)
        if left := self._cloud.left():
            raise Failure(f"the destruction leaves {left}")
        time.sleep(trial.meanwhile * self._cloud.window / pace.SPEED)
        made = self._cloud.made()
        stopped.wake()
        self._await(stopped)
        self._refuse(stopped)
        return self._cloud.made() > made

    def _refuse(self, woken: process.Process) -> None:
        """What is wrong once the command that stood still has ended."""
        said = woken.log.read_text()
        if left := self._cloud.left():
            raise Failure(f"strays: {left}")
        if woken.code == DONE or "another process has taken over" not in said or "--sweep" not in said:
            raise Failure(f"the woken command ends with {woken.code} and does not say what it knows")
        if self._rows("SELECT id FROM infrastructures"):
            raise Failure("the woken command wrote to the store")

    def _begin(self) -> None:
        for file in (*self._folder.glob("store.db*"), *self._folder.glob("*.trace"), *self._folder.glob("*.log")):
            file.unlink()
        self._processes.clear()
        self._cloud.reset()
        self._expect(self._run("import"), DONE)

    def _fail(self) -> None:
        ((id,),) = self._rows("SELECT instance_id FROM instances WHERE node_name = 'web' LIMIT 1")
        self._cloud.fail(id)

    def _run(self, word: str, act: Act | None = None) -> process.Process:
        number = next(self._numbers)
        started = process.start(act or Act(word), COMMANDS[word], self._folder, number, self._mutant, str(number))
        self._processes.append(started)
        self._await(started)
        return started

    def _await(self, each: process.Process) -> None:
        if not each.wait(PATIENCE):
            each.signal(signal.SIGUSR1)
            each.wait(1)
            raise Failure(f"'{each.act}' does not end")
        if each.code == process.CRASHED or "Traceback" in each.log.read_text():
            raise Failure(f"'{each.act}' ends with an error of its own")

    def _expect(self, ended: process.Process, *codes: int) -> None:
        if ended.code not in codes:
            raise Failure(f"'{ended.act}' ends with {ended.code}")

    def _await_lease(self) -> None:
        """Until the lease that the stopped command has is over."""
        for (expires,) in self._rows("SELECT lease_expires FROM infrastructures WHERE lease_expires IS NOT NULL"):
            time.sleep(max(0.0, expires - pace.now()) / pace.SPEED + 0.002)

    def _rows(self, query: str) -> list[tuple]:
        with contextlib.closing(sqlite3.connect(self._store, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    def _journal(self) -> str:
        lines = [f"left at the cloud: {self._cloud.left()}"]
        for each in self._processes:
            lines += [f"== {each.act}: {each.code}", *each.boundaries[-30:], *each.log.read_text().splitlines()[-30:]]
        return "\n".join(lines)


def _around_ec2(call: Any, reached: boundaries.Boundaries) -> Any:
    def around(self: Any, operation: str, *arguments: Any, **parameters: Any) -> Any:
        if operation != "run_instances":
            return call(self, operation, *arguments, **parameters)
        number = reached.reach(f"{BEFORE} create")
        try:
            return call(self, operation, *arguments, **parameters)
        finally:
            reached.reach(f"{AFTER} create", number)

    return around


def _install(name: str, cloud: Cloud) -> None:
    """Have the commands live by the time of the trials, and count creations among their boundaries."""
    pace.SPEED = cloud.speed
    pace.install()
    if name == "ec2":
        from occopus_resource_ec2.client import Client  # noqa: PLC0415

        before = boundaries.Boundaries.install

        def installed(self: boundaries.Boundaries) -> None:
            before(self)
            Client.call = _around_ec2(Client.call, self)  # type: ignore[method-assign]

        boundaries.Boundaries.install = installed  # type: ignore[method-assign]
    for command, *_ in COMMANDS.values():
        importlib.import_module(f"occopus_core.cli.{command}")


def _arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(prog="python -m tests.torture.strays", description=__doc__)
    made.add_argument("--cloud", choices=list(CLOUDS), default="sim")
    made.add_argument("--trials", type=int, default=200, help="how many (default: 200)")
    made.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default: 1)")
    made.add_argument("--mutant", metavar="NAME", default="", help="one of `mutants.MUTANTS`")
    return made.parse_args()


def main() -> int:
    """1 where something was left."""
    options, counts, began = _arguments(), Counter[str](), time.monotonic()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    with tempfile.TemporaryDirectory(prefix="occopus-strays-", dir=FAST if FAST.is_dir() else None) as name:
        folder = Path(name)
        os.environ.update(HOME=name, OCCOPUS_STORE=f"sqlite:///{name}/store.db")
        with CLOUDS[options.cloud](folder) as cloud:
            _install(options.cloud, cloud)
            course = Course(folder, cloud, options.mutant)
            for trial in itertools.islice(trials(options.seed), options.trials):
                try:
                    counts["late"] += course.make(trial)
                except Failure as failure:
                    print(f"FAILED: {failure}", flush=True)
                    return 1
                counts["trials"] += 1
                if counts["trials"] % 20 == 0:
                    print(f"{time.monotonic() - began:.0f} s: {dict(counts)}", flush=True)
    print(
        f"{counts['trials']} trials on {options.cloud}, seed {options.seed}, {time.monotonic() - began:.0f} s: "
        f"{counts['late']} made something after the destruction, 0 strays"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
