"""``python -m tests.torture``: see docs/torture.md."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator

from . import mutants
from .acts import Run
from .campaign import Boundaries, boundaries_of, mixed, rehearsals, with_managers
from .lanes import PATIENCE, Lanes, Outcome
from .weather import WEATHERS

SHORT_PATIENCE = 6.0
"""Seconds after which a mutant has to have converged, which it is not expected to."""

MOST_FAILURES = 5
"""After so many there is enough to mend."""


def main() -> int:
    """Torture; 1 where something was lost or leaked."""
    options = _arguments()
    if options.replay:
        run = Run.parse(options.replay, weather=options.weather, seed=options.seed, parallel=options.parallel,
                        managed=options.managed, mutant=options.mutant)  # fmt: skip
        return _replay(run)
    with Lanes(options.lanes, SHORT_PATIENCE if options.mutants else PATIENCE) as lanes:
        if options.mutants:
            return _show_mutants(lanes)
        return _campaign(lanes, options)


def _arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    made.add_argument("--kills", type=int, default=2000, help="how many kills at boundaries (default: 2000)")
    made.add_argument("--instants", type=int, default=1000, help="how many kills at random instants (default: 1000)")
    made.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, whatever was reached")
    made.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default: 1)")
    made.add_argument("--skip", type=int, default=0, help="leave out so many runs of the campaign: to go on with it")
    made.add_argument("--lanes", type=int, default=6, help="runs side by side (default: 6)")
    made.add_argument("--mutants", action="store_true", help="show that each mutant of the protocol is caught")
    made.add_argument("--replay", metavar="ACTS", help="make one run, with its --weather, --seed and --parallel")
    made.add_argument("--weather", choices=list(WEATHERS), default="calm")
    made.add_argument("--parallel", action="store_true")
    made.add_argument("--managed", action="store_true", help="only runs with a configuration manager")
    made.add_argument("--mutant", choices=list(mutants.MUTANTS), default="")
    return made.parse_args()


def _replay(run: Run) -> int:
    with Lanes(1) as lanes:
        (outcome,) = lanes.map([run])
    print(outcome.failure or "nothing was lost, nothing leaked")
    print(outcome.journal or "\n".join(itertools.chain.from_iterable(outcome.reached)))
    return 1 if outcome.failure else 0


def rehearsed(lanes: Lanes, *, managed: bool) -> Boundaries:
    """The boundaries of every operation. Raises `SystemExit` where one fails even without a blow."""
    runs = rehearsals(managed=managed)
    outcomes = {outcome.run: outcome for outcome in lanes.map(runs.values())}
    for outcome in outcomes.values():
        if outcome.failure:
            _tell(outcome)
            raise SystemExit(1)
    return {key: boundaries_of(outcomes[run].at_last) for key, run in runs.items()}


def _campaign(lanes: Lanes, options: argparse.Namespace) -> int:
    managed = rehearsed(lanes, managed=True)
    print(f"{sum(map(len, managed.values()))} boundaries with a configuration manager; seed {options.seed}", flush=True)
    if options.managed:
        drawn = (("managed", run) for run in with_managers(options.seed, managed))
    else:
        boundaries = rehearsed(lanes, managed=False)
        print(f"{sum(map(len, boundaries.values()))} boundaries of {len(boundaries) // 2} operations without one")
        drawn = mixed(options.seed, boundaries, managed)
    counts: Counter[str] = Counter()
    began = time.monotonic()
    drawn = itertools.islice(drawn, options.skip, None)

    def runs() -> Iterator[Run]:
        for kind, run in drawn:
            enough = counts["kills at boundaries"] >= options.kills and counts["kills at instants"] >= options.instants
            if enough or counts["failures"] >= MOST_FAILURES or time.monotonic() - began > options.seconds:
                return
            counts["drawn"] += 1
            counts[kind] += 1
            yield run

    for outcome in lanes.map(runs()):
        _count(counts, outcome)
        if outcome.failure:
            _tell(outcome)
        if counts["runs"] % 100 == 0:
            _summarise(counts, began)
    _summarise(counts, began)
    print(f"to go on: python -m tests.torture --seed {options.seed} --skip {options.skip + counts['drawn']}")
    return 1 if counts["failures"] else 0


def _count(counts: Counter[str], outcome: Outcome) -> None:
    at_random = sum(kill.endswith("at random") for kill in outcome.kills)
    counts["runs"] += 1
    counts["kills at instants"] += at_random
    counts["kills at boundaries"] += len(outcome.kills) - at_random
    counts["pauses"] += outcome.pauses
    counts["crashes of the cloud"] += outcome.crashes
    counts["missed"] += outcome.missed
    counts["failures"] += bool(outcome.failure)


def _summarise(counts: Counter[str], began: float) -> None:
    keys = ("runs", "kills at boundaries", "kills at instants", "pauses", "crashes of the cloud", "missed", "failures")
    print(f"{time.monotonic() - began:.0f} s: " + ", ".join(f"{counts[key]} {key}" for key in keys), flush=True)


def _tell(outcome: Outcome) -> None:
    print(f"FAILED: {outcome.failure}\n  {outcome.run.command}\n{outcome.journal}\n", flush=True)


def _show_mutants(lanes: Lanes) -> int:
    left = mutants.unseen(lanes, _tell_of_mutant)
    print(f"{len(mutants.MUTANTS) - len(left)} of {len(mutants.MUTANTS)} mutants were seen")
    return 1 if left else 0


def _tell_of_mutant(mutant: mutants.Mutant, outcome: Outcome) -> None:
    print(f"{mutant.clause} {mutant.what}: {outcome.failure[:200] or 'NOT SEEN'}\n  {outcome.run.command}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
