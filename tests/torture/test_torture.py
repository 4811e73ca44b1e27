"""A short part of the torture, the same every time; ``make torture`` is for hours."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import types
from pathlib import Path

import pytest

from . import mutants
from .acts import Act, Run
from .campaign import OPERATIONS, at_boundaries, boundaries_of, campaign, crashing, paused, rehearsals, side_by_side
from .lanes import Lanes
from .mutants import MUTANTS, unseen
from .weather import WEATHERS, rules

pytestmark = pytest.mark.integration

SEED = 20
MUTANT_PATIENCE = 8.0
"""Seconds after which a mutant has to have converged, which it is not expected to."""


@pytest.fixture(scope="module")
def lanes():
    with Lanes(2) as lanes:
        yield lanes


@pytest.fixture(scope="module")
def rehearsed(lanes):
    """The outcome of each operation in which nothing happens, one step at a time."""
    runs = {key: run for key, run in rehearsals().items() if not key[1]}
    outcomes = {outcome.run: outcome for outcome in lanes.map(runs.values())}
    return {key: outcomes[run] for key, run in runs.items()}


@pytest.fixture(scope="module")
def boundaries(rehearsed):
    found = {key: boundaries_of(outcome.at_last) for key, outcome in rehearsed.items()}
    return {(name, parallel): each for (name, _), each in found.items() for parallel in (False, True)}


def check(outcomes, least):
    """Nothing was lost or leaked, and at least so many blows came."""
    blows = 0
    for outcome in outcomes:
        assert not outcome.failure, f"{outcome.failure}\n{outcome.run.command}\n{outcome.journal}"
        blows += len(outcome.kills) + outcome.pauses + outcome.crashes
    assert blows >= least


@pytest.fixture(scope="module")
def managed_boundaries(lanes):
    """The boundaries of a few operations with a configuration manager."""
    runs = {
        key: run for key, run in rehearsals(managed=True).items() if not key[1] and key[0] in ("build", "destruction")
    }
    outcomes = {outcome.run: outcome for outcome in lanes.map(runs.values())}
    check(outcomes.values(), 0)
    return {key: boundaries_of(outcomes[run].at_last) for key, run in runs.items()}


def test_without_a_blow_every_operation_ends_well(rehearsed):
    check(rehearsed.values(), 0)


def test_a_build_that_takes_the_place_of_a_request_and_fails_leaves_the_description_before(lanes):
    check(lanes.map([Run.parse("old; ask; bad; maintain", seed=SEED)]), 0)


def test_kills_at_boundaries(lanes, boundaries):
    runs = itertools.islice(at_boundaries(SEED, boundaries), 24)
    check(lanes.map(runs), 12)


def test_everything_else_that_can_befall(lanes, boundaries):
    kinds = (paused(SEED, boundaries), side_by_side(SEED), crashing(SEED))
    rest = (run for kind, run in campaign(SEED, boundaries) if kind in ("instant", "interruption"))
    runs = [*itertools.islice(kinds[0], 4), *itertools.islice(kinds[1], 2), *itertools.islice(kinds[2], 1)]
    check(lanes.map([*runs, *itertools.islice(rest, 6)]), 5)


MANAGER_CALLS = ("register", "configure", "leave", "forget", "forget_infrastructure")


def test_kills_in_the_calls_of_a_configuration_manager(lanes, managed_boundaries):
    runs = []
    for call, moment in itertools.product(MANAGER_CALLS, ("sent", "answered")):
        name, where = next(
            (name, where)
            for (name, _), found in managed_boundaries.items()
            for where in found
            if where.startswith(f"{moment} {call} ")
        )
        before, word = OPERATIONS[name]
        runs.append(Run.parse(f"{before}{word} @ kill {where}; maintain", managed=True))
    check(lanes.map(runs), len(runs))


def test_a_campaign_is_the_same_for_the_same_seed(boundaries):
    def first(seed):
        return list(itertools.islice(campaign(seed, boundaries), 50))

    assert first(1) == first(1) != first(2)


def test_every_boundary_has_its_turn(boundaries):
    count = sum(map(len, boundaries.values()))
    runs = itertools.islice(at_boundaries(SEED, boundaries), count)
    struck = {(run.text.partition(" @ ")[0], run.parallel, act.where)
              for run in runs for act in run.acts if act.how}  # fmt: skip
    assert len(struck) >= sum(len(set(each)) for each in boundaries.values()) * 0.9


@pytest.mark.parametrize("weather", WEATHERS)
def test_the_weather_is_the_same_for_the_same_seed(weather):
    assert rules(weather, 3) == rules(weather, 3)


@pytest.mark.parametrize("text", ["old", "new @ kill before commit 3", "old @ crash 0.25", "maintain & destroy"])
def test_an_act_is_what_it_says(text):
    assert str(Act.parse(text)) == text


@pytest.mark.parametrize("text", ["", "jump", "old @ kill", "old @ tickle before commit 3", "old & jump"])
def test_what_is_no_act_is_refused(text):
    with pytest.raises(ValueError, match="is not an act"):
        Act.parse(text)


def test_a_run_can_be_replayed_from_its_command():
    run = Run.parse("old; new @ kill sent create 2", weather="lost", seed=7, parallel=True)
    assert run.command == (
        "python -m tests.torture --weather lost --seed 7 --parallel --replay 'old; new @ kill sent create 2'"
    )


def test_every_clause_has_a_mutant():
    assert {mutant.clause for mutant in MUTANTS.values()} == {f"P{number}" for number in range(1, 23)}


def test_a_mutant_replaces_only_what_the_program_has():
    """A name that the program no longer uses would make a mutant that changes nothing."""
    replaced = [
        target
        for statement in ast.walk(ast.parse(Path(mutants.__file__).read_text()))
        if isinstance(statement, ast.Assign)
        for named in statement.targets
        for target in (named.elts if isinstance(named, ast.Tuple) else [named])
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
    ]
    owners = [(getattr(mutants, target.value.id, None), target.attr) for target in replaced]
    changed = [(owner, name) for owner, name in owners if isinstance(owner, type | types.ModuleType)]
    assert len(changed) > 30
    assert [(owner, name) for owner, name in changed if not hasattr(owner, name)] == []


def test_each_mutant_is_seen():
    """The harness sees what it claims to check."""
    with Lanes(3, MUTANT_PATIENCE) as lanes:
        assert [run.command for run in unseen(lanes)] == []


def test_what_shows_a_mutant_shows_nothing_without_it(lanes):
    runs = dict.fromkeys(dataclasses.replace(mutant.run, mutant="") for mutant in MUTANTS.values())
    check(lanes.map(runs), 10)
