import itertools

import pytest

from occopus_core.engine.kernel.batch import Batch
from occopus_core.engine.kernel.loop import Loop
from occopus_core.testing.time import InlineExecutor, VirtualClock


@pytest.fixture
def loop():
    return Loop(VirtualClock(), InlineExecutor())


@pytest.fixture
def calls():
    """What was asked for, and when."""
    return []


@pytest.fixture
def dropped():
    return set()


@pytest.fixture
def batch(loop, calls, dropped):
    start = loop.clock.now()
    return Batch(
        loop,
        1.0,
        lambda work: work not in dropped,
        loop.submit,
        lambda works: calls.append((round(loop.clock.now() - start, 6), sorted(works))),
        lambda works, outcome: outcome.get(),
    )


def until(loop, seconds):
    end = loop.clock.now() + seconds
    loop.after(seconds, lambda: None)
    loop.run_until(lambda: loop.clock.now() >= end)


def test_one_call_for_all_that_are_due(loop, batch, calls):
    for name in "abc":
        batch.add(name, 2.0)
    until(loop, 10)
    assert calls == [(2.0, ["a", "b", "c"])]


def test_what_is_due_earlier_is_asked_for_earlier(loop, batch, calls):
    batch.add("late", 5.0)
    batch.add("soon", 2.0)
    until(loop, 10)
    assert calls == [(2.0, ["soon"]), (5.0, ["late"])]


def test_calls_keep_their_distance(loop, batch, calls):
    for number in range(40):
        batch.add(f"{number:02}", number / 10)
    until(loop, 10)
    times = [time for time, _ in calls]
    assert all(later - earlier >= 1.0 - 1e-6 for earlier, later in itertools.pairwise(times))
    assert len(calls) <= 5
    assert sorted(name for _, names in calls for name in names) == [f"{number:02}" for number in range(40)]


def test_what_matters_no_more_is_not_asked_for(loop, batch, calls, dropped):
    batch.add("a", 1.0)
    batch.add("b", 1.0)
    batch.add("c", 3.0)
    dropped.update("ac")
    until(loop, 10)
    assert calls == [(1.0, ["b"])]


def test_asked_for_again_while_a_call_is_under_way(loop, calls):
    again = iter(["a"])
    batch = Batch(
        loop,
        1.0,
        lambda work: True,
        loop.submit,
        calls.append,
        lambda works, outcome: [batch.add(name, 0.0) for name in again],
    )
    batch.add("a", 0.0)
    until(loop, 10)
    assert calls == [["a"], ["a"]]
