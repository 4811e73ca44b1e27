"""Which runs there are: every boundary of every operation, random instants, pauses, rivals, crashes of the cloud."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence

from .acts import ANSWERED, SENT, Run
from .weather import WEATHERS

OPERATIONS: Mapping[str, tuple[str, str]] = {
    "build": ("", "old"),
    "build that fails": ("", "bad"),
    "update": ("old; ", "new"),
    "update that fails": ("old; ", "bad"),
    "update that a kept instance does not pass": ("old; ", "sick"),
    "update with an image that does not exist": ("old; ", "lacking"),
    "scaling request": ("old; ", "more"),
    "request": ("old; ", "ask"),
    "requested update": ("old; ask; ", "maintain"),
    "scaling up": ("old; more; ", "maintain"),
    "scaling down": ("old; more; maintain; less; ", "maintain"),
    "healing of one that is lost": ("old; lose; ", "maintain"),
    "healing of one that was stopped": ("old; stop; ", "maintain"),
    "healing of one that failed": ("old; fail; ", "maintain"),
    "destruction": ("old; ", "destroy"),
}
"""What is done before, and the command under torture."""

REQUESTS = ("scaling request", "request")
"""Those that hold no lease."""

RECOVERIES = ("maintain", "again", "old", "destroy")
"""What somebody does afterwards: one command, the same one `again` for instance."""

MANAGED_SHARE = 0.25
"""How many of the runs have a configuration manager."""

CALM_SHARE = 0.3
AGAIN_SHARE = 0.25
"""How often the recovery is killed as well."""

LONGEST_COMMAND = 0.6
"""Seconds within which a command is killed at a random instant."""

Boundaries = Mapping[tuple[str, bool], Sequence[str]]
"""The boundaries of each operation, one step at a time and side by side."""


def rehearsals(*, managed: bool = False) -> dict[tuple[str, bool], Run]:
    """A run of each operation in which nothing happens, to see its boundaries."""
    return {
        (name, parallel): Run.parse(before + word, parallel=parallel, managed=managed)
        for name, (before, word) in OPERATIONS.items()
        for parallel in (False, True)
    }


def boundaries_of(reached: Sequence[str]) -> list[str]:
    """Where a process can be killed that reached these: a call has four boundaries, two of which are inside it."""
    found = []
    for line in reached:
        moment, what, number = line.split()
        if what == "check":
            continue
        found.append(line)
        if moment == "before" and what != "commit":
            found += [f"{SENT} {what} {number}", f"{ANSWERED} {what} {number}"]
    return found


def at_boundaries(seed: int, boundaries: Boundaries) -> Iterator[Run]:
    """Runs that are killed at a boundary, every boundary in its turn, over and over."""
    rng = random.Random(f"boundaries/{seed}")
    everywhere = [(name, parallel, where) for (name, parallel), found in boundaries.items() for where in found]
    for number in itertools.count():
        if number % len(everywhere) == 0:
            rng.shuffle(everywhere)
        name, parallel, where = everywhere[number % len(everywhere)]
        before, word = OPERATIONS[name]
        acts = f"{before}{word} @ kill {where}; {_recovery(rng, word, boundaries, parallel=parallel)}"
        yield Run.parse(acts, weather=_weather(rng), seed=rng.randrange(10**6), parallel=parallel)


def at_random(seed: int) -> Iterator[Run]:
    """Runs of mixed commands that are killed at random instants, one after another."""
    rng = random.Random(f"instants/{seed}")
    words = (
        "new",
        "old",
        "bad",
        "sick",
        "lacking",
        "ask; maintain",
        "more; maintain",
        "less; maintain",
        "lose; maintain",
        "fail; maintain",
        "destroy",
    )
    while True:
        acts = [f"old @ kill {_instant(rng)}" if rng.random() < 0.5 else "old"]
        acts += [f"{rng.choice(words)} @ kill {_instant(rng)}" for _ in range(rng.randint(1, 3))]
        yield Run.parse("; ".join(acts), **_options(rng))


def paused(seed: int, boundaries: Boundaries) -> Iterator[Run]:
    """Runs in which a process stands still until others have taken over, and then goes on."""
    rng = random.Random(f"pauses/{seed}")
    meanwhile = ("maintain", "again", "destroy", "destroy; old", "sweep", "sweep; maintain")
    for name in _chosen(rng, [name for name in OPERATIONS if name not in REQUESTS]):
        before, word = OPERATIONS[name]
        # One that stands still within a transaction keeps all others from writing: that is SQLite's way.
        where = rng.choice([each for each in boundaries[name, False] if each.startswith(("before", "after"))
                            and each.split()[:2] != ["before", "commit"]])  # fmt: skip
        if where.split()[1] in ("create", "delete") and rng.random() < 0.3:
            where = f"before check {where.split()[2]}"
        acts = f"{before}{word} @ pause {where}; {rng.choice(meanwhile).replace('again', word)}; wake"
        yield Run.parse(acts, weather=_weather(rng), seed=rng.randrange(10**6))


def interrupted(seed: int, boundaries: Boundaries) -> Iterator[Run]:
    """Runs in which a user interrupts a command at a boundary, and perhaps a kill meets the next one."""
    rng = random.Random(f"interruptions/{seed}")
    for name in _chosen(rng, [name for name in OPERATIONS if name not in REQUESTS]):
        before, word = OPERATIONS[name]
        parallel = rng.random() < 0.5
        where = rng.choice([each for each in boundaries[name, parallel] if each.startswith(("before", "after"))])
        acts = f"{before}{word} @ interrupt {where}; {_recovery(rng, word, boundaries, parallel=parallel)}"
        yield Run.parse(acts, weather=_weather(rng), seed=rng.randrange(10**6), parallel=parallel)


def side_by_side(seed: int) -> Iterator[Run]:
    """Runs in which two processes want the same infrastructure; mostly one of them is killed."""
    rng = random.Random(f"rivals/{seed}")
    for name in _chosen(rng, list(OPERATIONS)):
        before, word = OPERATIONS[name]
        rival = rng.choice(["maintain", "old", "new", "ask", "destroy", "sweep"])
        blow = f" @ kill {_instant(rng)}" if rng.random() < 0.7 else ""
        yield Run.parse(f"{before}{word}{blow} & {rival}", **_options(rng))


def crashing(seed: int) -> Iterator[Run]:
    """Runs in which the cloud dies and comes back; some processes are killed as well."""
    rng = random.Random(f"crashes/{seed}")
    for name in _chosen(rng, [name for name in OPERATIONS if name not in REQUESTS]):
        before, word = OPERATIONS[name]
        then = rng.choice(["maintain", f"{word} @ kill {_instant(rng)}", "destroy"])
        yield Run.parse(f"{before}{word} @ crash {_instant(rng)}; {then}", **_options(rng))


def campaign(seed: int, boundaries: Boundaries) -> Iterator[tuple[str, Run]]:
    """All kinds of runs, mixed, each with the name of its kind."""
    kinds = {
        "boundary": (at_boundaries(seed, boundaries), 65),
        "instant": (at_random(seed), 18),
        "pause": (paused(seed, boundaries), 8),
        "interruption": (interrupted(seed, boundaries), 5),
        "rival": (side_by_side(seed), 5),
        "crash": (crashing(seed), 2),
    }
    rng = random.Random(f"campaign/{seed}")
    names, weights = list(kinds), [weight for _, weight in kinds.values()]
    while True:
        (name,) = rng.choices(names, weights)
        yield name, next(kinds[name][0])


def with_managers(seed: int, boundaries: Boundaries) -> Iterator[Run]:
    """Runs of all kinds in which a configuration manager configures the nodes; `boundaries` are of such runs."""
    for _, run in campaign(seed, boundaries):
        yield dataclasses.replace(run, managed=True)


def mixed(seed: int, boundaries: Boundaries, managed: Boundaries) -> Iterator[tuple[str, Run]]:
    """A campaign, with runs with a configuration manager in between."""
    rng = random.Random(f"mixed/{seed}")
    plain, others = campaign(seed, boundaries), with_managers(seed, managed)
    while True:
        if rng.random() < MANAGED_SHARE:
            yield "managed", next(others)
        else:
            yield next(plain)


def _recovery(rng: random.Random, word: str, boundaries: Boundaries, *, parallel: bool) -> str:
    chosen = rng.choice(RECOVERIES).replace("again", word)
    if rng.random() >= AGAIN_SHARE:
        return chosen
    alike = [name for name, (_, each) in OPERATIONS.items() if each == chosen]
    where = rng.choice(boundaries[rng.choice(alike), parallel])
    return f"{chosen} @ kill {where}; {rng.choice(RECOVERIES).replace('again', word)}"


def _chosen(rng: random.Random, names: list[str]) -> Iterator[str]:
    while True:
        yield rng.choice(names)


def _instant(rng: random.Random) -> str:
    return f"{rng.uniform(0.01, LONGEST_COMMAND):.3f}"


def _weather(rng: random.Random) -> str:
    return "calm" if rng.random() < CALM_SHARE else rng.choice([each for each in WEATHERS if each != "deaf"])


def _options(rng: random.Random) -> dict:
    return {"weather": _weather(rng), "seed": rng.randrange(10**6), "parallel": rng.random() < 0.5}
