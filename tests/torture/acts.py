"""The language of a run: what is done one after another, and what befalls it.

::

    old; new @ kill before commit 3; maintain
    old @ pause after create 1; destroy; old; wake
    old; new @ kill 0.120; old @ crash 0.010; maintain & destroy

An act is a word of `COMMANDS`, or something that nobody asked Occopus for (`BY_THE_WAY`). After an ``@`` comes a blow:
what happens, and at which boundary, or after how many seconds. After a ``&`` comes a command that runs side by side.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

INFRA = "trial"

COMMANDS = {
    "old": ("build", "-i", INFRA, "old.yaml"),
    "new": ("build", "-i", INFRA, "new.yaml"),
    "bad": ("build", "-i", INFRA, "bad.yaml"),
    "sick": ("build", "-i", INFRA, "sick.yaml"),
    "lacking": ("build", "-i", INFRA, "lacking.yaml"),
    "maintain": ("maintain", "-i", INFRA),
    "more": ("scale", "-i", INFRA, "-n", "web", "-c", "2"),
    "less": ("scale", "-i", INFRA, "-n", "web", "-c", "-2"),
    "destroy": ("destroy", "-i", INFRA),
    "sweep": ("maintain", "--sweep"),
    "ask": ("ask", "new.yaml"),
}
"""The command lines by their word. A build of `bad` fails and undoes itself. So does one of `sick`, which gives an
instance of `old` a health check that it does not pass, and one of `lacking`, which gives it an image that is not there.

`ask` requests what `new` builds, as the REST service does; a `maintain` builds it.
"""

FAILING = ("bad", "sick", "lacking")

BY_THE_WAY = ("lose", "stop", "fail", "storm", "calm", "wake")
"""The first three happen to an instance behind our back; `storm` begins the faults before the first blow, or again;
`calm` ends them, or keeps the first blow from beginning them; `wake` lets a paused process go on."""

KILL, PAUSE, INTERRUPT, CRASH = "kill", "pause", "interrupt", "crash"
"""SIGKILL, SIGSTOP and SIGINT for the process; the cloud is killed, and comes back a moment later."""

BEFORE, SENT, ANSWERED, AFTER = "before", "sent", "answered", "after"
"""Around a call: not yet sent; sent, the effect to come; effect taken, the answer not read; the answer not used."""

_ACT = re.compile(
    r"(?P<word>\w+)( @ (?P<how>kill|pause|interrupt|crash) (?P<where>[\w.]+( \w+ \d+)?))?( & (?P<rival>\w+))?"
)


@dataclass(frozen=True, slots=True)
class Act:
    """One of the things that are done."""

    word: str
    how: str = ""
    """`KILL`, `PAUSE`, `INTERRUPT` or `CRASH`; empty where nothing befalls it."""
    where: str = ""
    """The name of a boundary, such as ``after commit 3``, or seconds."""
    rival: str = ""

    @classmethod
    def parse(cls, text: str) -> Act:
        """Raises `ValueError`."""
        match = _ACT.fullmatch(text.strip())
        if match is None or not {match["word"], match["rival"] or "old"} <= {*COMMANDS, *BY_THE_WAY}:
            raise ValueError(f"'{text}' is not an act: {__doc__}")
        return cls(match["word"], match["how"] or "", match["where"] or "", match["rival"] or "")

    @property
    def seconds(self) -> float | None:
        """When the blow comes; None where it comes at a boundary."""
        return float(self.where) if re.fullmatch(r"[\d.]+", self.where) else None

    def __str__(self) -> str:
        blow = f" @ {self.how} {self.where}" if self.how else ""
        return self.word + blow + (f" & {self.rival}" if self.rival else "")


@dataclass(frozen=True, slots=True)
class Run:
    """One infrastructure from nothing to nothing; a last ``maintain`` until all is well, and a ``destroy``, follow."""

    acts: tuple[Act, ...]
    weather: str = "calm"
    """What the cloud does meanwhile: see `weather`."""
    seed: int = 0
    parallel: bool = False
    managed: bool = False
    """Whether `db` and `web` are configured by a configuration manager."""
    mutant: str = ""

    @classmethod
    def parse(cls, acts: str, **others: object) -> Run:
        """Raises `ValueError`."""
        return cls(tuple(map(Act.parse, acts.split(";"))), **others)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """The acts, in words."""
        return "; ".join(map(str, self.acts))

    @property
    def command(self) -> str:
        """What repeats this run."""
        options = ["--weather", self.weather, "--seed", str(self.seed)]
        options += ["--parallel"] if self.parallel else []
        options += ["--managed"] if self.managed else []
        options += ["--mutant", self.mutant] if self.mutant else []
        return f"python -m tests.torture {shlex.join([*options, '--replay', self.text])}"
