"""How a run goes: its acts one after another, recovery as a user would have it, and what is checked in between."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import process, verdict, weather
from .acts import CRASH, FAILING, INTERRUPT, KILL, PAUSE, Act, Run
from .boundaries import CHANGING, MANAGER_CHANGING
from .process import CRASHED, Process
from .verdict import ABSENT, NEW, OLD
from .world import World

LONGEST = 60.0
"""Seconds after which a process is taken for stuck, and what does not converge for hopeless."""

_FAILED, _GONE = 1, 3
_LEASING = ("old", "new", *FAILING, "maintain", "destroy")


class Failure(Exception):  # noqa: N818
    """What must not be, in words."""


@dataclass(slots=True)
class Result:
    """What became of a run."""

    run: Run
    failure: str = ""
    kills: list[str] = field(default_factory=list)
    """Where processes were killed, each as the act and the boundary."""
    pauses: int = 0
    crashes: int = 0
    missed: int = 0
    """Blows that never came, the process having ended before."""
    reached: list[list[str]] = field(default_factory=list)
    """The boundaries of each act."""
    lasted: list[float] = field(default_factory=list)
    """Seconds of each act."""
    journal: str = ""


class Course:
    """One run in a world."""

    def __init__(self, world: World, run: Run, patience: float = LONGEST) -> None:
        self._world = world
        self._run = run
        self._patience = patience
        self._rng = random.Random(f"{run.seed}/{run.text}")
        self._result = Result(run)
        self._processes: list[Process] = []
        self._possible = {ABSENT}
        self._before_request: set[str] = set()
        """What was possible before a request that may not be built yet."""
        self._forgetful = run.weather in weather.FORGETFUL
        self._hurt: set[str] = set()
        self._revisions: dict[str, tuple[int, str]] = {}
        self._untouched: set[str] | None = None
        self._may_stray = False
        self._port_held = False
        """Whether a duplicate that no row knows holds the port that a node needs: nothing settles before a sweep."""
        self._stormy = False

    def go(self) -> Result:
        """All of it. Never raises what a run can come to."""
        try:
            self._world.begin(managed=self._run.managed)
            for act in self._run.acts:
                self._act(act)
            self._end()
        except Failure as failure:
            self._result.failure = str(failure)
            self._result.journal = self._journal()
        finally:
            for each in self._processes:
                each.kill()
        return self._result

    def _act(self, act: Act) -> None:
        if act.word == "storm" or (not self._stormy and (act.how or act.rival)):
            name, seed = self._run.weather, self._run.seed
            self._world.set_faults(weather.rules(name, seed), weather.manager_rules(name, seed))
        self._stormy = self._stormy or bool(act.how or act.rival or act.word in ("storm", "calm"))
        if act.word in ("lose", "stop", "fail"):
            self._hurt_one(act.word)
        elif act.word == "calm":
            self._world.set_faults([], [])
        elif act.word == "wake":
            self._wake()
        elif act.word != "storm":
            self._command(act)

    def _hurt_one(self, word: str) -> None:
        ready = [row["instance_id"] for row in self._world.rows("instances")
                 if row["node_name"] == "web" and row["stage"] == "ready"]  # fmt: skip
        alive = [id for id in ready if id not in self._hurt]
        if alive:
            self._untouched = None
            chosen = self._rng.choice(alive)
            self._hurt.add(chosen)
            self._world.cloud.change(chosen, word, "by the harness")

    # Commands

    def _command(self, act: Act) -> None:
        if (not act.rival and not self._paused and self._rng.random() < 0.75) or act.word == "maintain":
            self._world.await_lease()
        before, rows = self._settled_rows(), {row["node_id"] for row in self._world.rows("instances")}
        began = time.monotonic()
        main = self._start(act, act.word)
        others = [self._start(Act(act.rival), act.rival)] if act.rival else []
        self._strike(act, main)
        for each in [main, *others]:
            self._await(each)
        self._result.reached.append(main.boundaries)
        self._result.lasted.append(time.monotonic() - began)
        self._note(act, main, before)
        for each in others:
            self._note(each.act, each, before, alone=False)
        if not self._paused:
            self._refuse(verdict.unsafe(self._world, forgetful=self._forgetful or self._may_stray, hurt=self._hurt))
            self._refuse(self._mismanaged())
            self._refuse(verdict.unrevised(self._world, self._revisions))
            self._refuse(self._unreasonable(act, main, rows))
            self._refuse(self._carried_on(act, main))
        if act.word == "sweep" and not (self._forgetful or self._may_stray or act.how):
            self._refuse(f"a sweep deletes what is known: {line}" for line in main.boundaries if "delete" in line)

    def _unreasonable(self, act: Act, ended: Process, before: set[str]) -> Iterable[str]:
        """What a build that failed by itself has to answer for. `before` are the rows there were.

        Maintenance that fails for one node keeps what it has done for others. A duplicate that no row knows may hold
        the port of a node.
        """
        if act.word not in ("old", "new") or ended.code != _FAILED or act.how or act.rival:
            return
        if (self._forgetful or self._may_stray) and "port 80 is in use" in ended.log.read_text():
            self._port_held = True
        elif self._run.weather not in weather.REFUSING:
            yield f"'{act}' fails although nothing stood in its way"
        left = [row for row in self._world.rows("instances") if row["node_id"] not in before]
        if left and "unconfirmed" not in ended.log.read_text():
            yield f"'{act}' failed and left behind {left}"

    def _carried_on(self, act: Act, ended: Process) -> Iterable[str]:
        """Maintenance finishes a rollback that was killed: it makes nothing where nothing else asks for that.

        An update that was killed before may have deleted what maintenance makes again afterwards.
        """
        if act.word != "maintain" or len(self._processes) < 2:
            return
        before = self._processes[-2]
        undoing = before.act.word == "bad" and before.killed and any(" delete " in line for line in before.boundaries)
        alone = self._is_quiet and self._run.weather == "calm" and not any(each.rival for each in self._run.acts)
        updating = any(each.killed and each.act.word in ("old", "new") for each in self._processes[:-2])
        if undoing and alone and not updating:
            made = [line for line in ended.boundaries if " create " in line]
            yield from (f"carried on what was being rolled back: {line}" for line in made)

    @property
    def _is_quiet(self) -> bool:
        """Whether no number of instances is asked for, and none is hurt by itself."""
        return not any(each.word in ("more", "less", "lose", "stop", "fail") for each in self._run.acts)

    def _mismanaged(self) -> Iterable[str]:
        """What is wrong at the configuration manager, as far as this run lets it be judged."""
        if not self._run.managed:
            return
        if not (self._forgetful or self._may_stray):
            yield from verdict.unmanaged(self._world)
        undisturbed = self._run.weather == "calm" and not any(each.rival for each in self._run.acts)
        if undisturbed and all(each.how in ("", INTERRUPT) for each in self._run.acts):
            quiet = not any(each.how or each.word in ("lose", "stop", "fail") for each in self._run.acts)
            yield from verdict.badly_forgotten(self._world, must_leave=quiet)

    @property
    def _paused(self) -> list[Process]:
        return [each for each in self._processes if each.paused]

    def _settled_rows(self) -> set[str]:
        rows = self._world.rows("instances")
        return {
            row["instance_id"]
            for row in rows
            if row["stage"] == "ready" and not row["provisional"] and not row["condemned"]
        }

    def _start(self, act: Act, word: str) -> Process:
        number = len(self._processes)
        words = process.command(word, self._run.parallel)
        seed = f"{self._run.seed}/{number}"
        started = process.start(act, words, self._world.folder, number, self._run.mutant, seed)
        self._processes.append(started)
        return started

    def _strike(self, act: Act, main: Process) -> None:
        """The blow, where it comes after a time."""
        if act.seconds is None or main.wait(act.seconds):
            return
        if act.how == CRASH:
            self._world.crash()
            self._result.crashes += 1
        elif act.how == KILL:
            main.kill()
        else:
            main.signal(signal.SIGINT if act.how == INTERRUPT else signal.SIGSTOP)
            main.wait(self._patience)

    def _await(self, each: Process) -> None:
        if not each.wait(self._patience):
            each.signal(signal.SIGUSR1)  # what it is doing goes to its log
            each.wait(1)
            raise Failure(f"'{each.act}' does not end")
        if each.code == CRASHED or "Traceback" in each.log.read_text():
            raise Failure(f"'{each.act}' ends with an error of its own")
        if each.paused:
            row = self._world.infrastructure()
            each.paused_epoch = row["epoch"] if row else None
            # A pass that only looks holds no lease: what it takes when it wakes is its own.
            each.held_lease = row is None or str(row["lease_holder"]).startswith(f"process {each.pid} ")

    def _note(self, act: Act, ended: Process, before: set[str], *, alone: bool = True) -> None:
        """What the infrastructure may be from now on."""
        if ended.killed:
            reached = ended.boundaries
            self._result.kills.append(f"{act.word} {reached[-1] if act.seconds is None and reached else 'at random'}")
        elif ended.paused:
            self._result.pauses += 1
        elif act.how in (KILL, PAUSE):
            self._result.missed += 1
        self._widen(act, ended, alone=alone and not act.rival)
        if act.word in FAILING and self._untouched is None and self._is_quiet:
            self._untouched = before
        elif act.word not in (*FAILING, "maintain"):
            self._untouched = None

    def _widen(self, act: Act, ended: Process, *, alone: bool) -> None:
        """What is possible after an act: of a request only its build tells, and that may come later or be undone."""
        done = alone and ended.code == 0
        steady = self._run.weather not in weather.REFUSING
        if act.word == "ask":
            self._before_request |= self._possible
        elif act.word in FAILING:  # takes the place of a request, and is undone
            self._possible |= self._before_request
        elif done and act.word in _LEASING and (act.word != "maintain" or steady):
            self._before_request = set()
        leads = {"old": OLD, "new": NEW, "ask": NEW, "destroy": ABSENT}.get(act.word)
        if act.word == "destroy" and alone and (done or ended.code == _GONE or _has_deleted(ended)):
            self._possible = {ABSENT}
        elif leads is not None:
            sure = done and (act.word != "ask" or steady)
            self._possible = {leads} if sure else {*self._possible, leads}

    def _refuse(self, reasons: Iterable[str]) -> None:
        found = list(reasons)
        if found:
            raise Failure("; ".join(found[:5]))

    # Paused processes

    def _wake(self) -> None:
        """A process that was taken over meanwhile may write nothing, and send only what it had on its tongue."""
        for each in self._paused:
            row = self._world.infrastructure()
            others = [one for one in self._processes[self._processes.index(each) + 1 :] if one.act.word in _LEASING]
            held = each.held_lease and each.act.word in _LEASING
            taken_over = held and (
                row is None or row["epoch"] != each.paused_epoch or any(one.code == 0 for one in others)
            )
            before, allowed = self._world.state(), int(each.boundaries[-1].rsplit(" ", 1)[1])
            called = len(self._changing_calls())
            each.wake()
            self._await(each)
            calls = [call for call in self._changing_calls()[called:] if not self._removes_a_stray(call)]
            # P19: what it makes now it removes itself, where nothing else is wrong.
            cleaned = taken_over and self._run.weather == "calm" and row is None
            self._may_stray = self._may_stray or (allowed > 0 and each.act.word != "destroy" and not cleaned)
            if taken_over and len(calls) > allowed:
                raise Failure(f"'{each.act}' lost its lease while it slept, and then called {calls}")
            if taken_over and self._world.state() != before:
                raise Failure(f"'{each.act}' lost its lease while it slept, and then wrote to the store")
            if not taken_over:
                self._possible |= {OLD, NEW, ABSENT}
        self._refuse(verdict.unsafe(self._world, forgetful=self._forgetful or self._may_stray, hurt=self._hurt))
        self._refuse(self._mismanaged())

    def _removes_a_stray(self, call: str) -> bool:
        """Whether a call deletes what no row knows, which needs no lease."""
        known = {row["token"] for row in self._world.rows("instances")}
        return call.startswith("delete ") and not any(token in call for token in known)

    def _changing_calls(self) -> list[str]:
        calls = [f"{call['operation']} {call['tokens']}" for call in self._world.cloud.log()
                 if call["operation"] in CHANGING]  # fmt: skip
        if not self._run.managed:
            return calls
        of_manager = [f"{call['operation']} {call['nodes']}" for call in self._world.manager.log()
                      if call["operation"] in MANAGER_CHANGING]  # fmt: skip
        return calls + of_manager

    # The end

    def _end(self) -> None:
        if self._paused:
            self._wake()
        self._world.set_faults([], [])
        if self._port_held:
            self._command(Act("sweep"))
        self._settle()
        if self._may_stray or (self._forgetful and self._rng.random() < 0.5):
            self._sweep()
        self._destroy()

    def _sweep(self) -> None:
        """Sweep until nothing is left to be found: the cloud may hide for a moment what it has made."""
        deadline = time.monotonic() + self._patience
        self._command(Act("sweep"))
        while reasons := list(verdict.unsettled(self._world, self._possible, forgetful=False)):
            if time.monotonic() > deadline:
                self._refuse(reasons)
            self._command(Act("sweep"))

    def _settle(self) -> None:
        """Maintain until all is well: nobody does anything else."""
        deadline = time.monotonic() + self._patience
        while reasons := list(self._unsettled()):
            if time.monotonic() > deadline:
                self._refuse(reasons)
            self._world.await_lease()
            self._command(Act("maintain"))

    def _unsettled(self) -> Iterable[str]:
        lenient = self._forgetful or self._may_stray
        yield from verdict.unsettled(self._world, self._possible, forgetful=lenient, may_stray=self._may_stray)
        if self._untouched is not None and self._possible == {OLD} and self._settled_rows() != self._untouched:
            raise Failure("an update that failed has changed what was there before it")

    def _destroy(self) -> None:
        deadline = time.monotonic() + self._patience
        while self._world.infrastructure() is not None and time.monotonic() < deadline:
            self._world.await_lease()
            self._command(Act("destroy"))
        if self._run.managed:
            self._forget(deadline)
        self._refuse(verdict.remaining(self._world))

    def _forget(self, deadline: float) -> None:
        """What a manager was asked in vain to forget is left to the sweep; so is what a paused process registered."""
        while self._world.managed_rows() != {"configurations": [], "managers": []} and time.monotonic() < deadline:
            self._command(Act("sweep"))
        if self._may_stray:
            self._command(Act("sweep"))
        self._refuse(verdict.remaining_managed(self._world, may_stray=self._may_stray))

    def _journal(self) -> str:
        """Everything that is known of a run that failed."""
        lines = [f"possible: {sorted(self._possible)}; hurt: {sorted(self._hurt)}; faults: {self._world.faults}"]
        for number, each in enumerate(self._processes):
            lines.append(f"== process {number}: {each.act}: code {each.code}, paused {each.paused}")
            lines += [f"   {line}" for line in each.boundaries[-40:]]
            lines += [f"   | {line}" for line in each.log.read_text().splitlines()[-40:]]
        lines.append("== the cloud's calls")
        lines += [f"   {call}" for call in self._world.cloud.log()[-60:]]
        lines.append("== the cloud's machines")
        lines += [f"   {machine}" for machine in self._world.machines()]
        for table in ("infrastructures", "instances", "scale_requests", "places"):
            lines.append(f"== {table}")
            lines += [f"   {row}" for row in self._world.rows(table)]
        if self._run.managed:
            lines += ["== the manager's calls", *(f"   {call}" for call in self._world.manager.log()[-60:])]
            lines += [f"== the manager holds {self._world.manager.inventory()}", f"== {self._world.managed_rows()}"]
        return "\n".join(lines)


def _has_deleted(ended: Process) -> bool:
    return any(line.startswith("before delete") for line in ended.boundaries)
