from concurrent.futures import ThreadPoolExecutor

import pytest

from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.loop import Loop, Outcome, Waiting
from occopus_core.testing.time import InlineExecutor, VirtualClock


@pytest.fixture
def loop():
    return Loop(VirtualClock(), InlineExecutor())


def waiting(over, settle=lambda: None):
    yield Waiting(settle, over)
    return "done"


def run(loop, until):
    assert loop.run(waiting(until)) == "done"


def test_actions_run_when_they_are_due_and_in_order(loop):
    start, seen = loop.clock.now(), []
    for name, seconds in (("c", 2.0), ("a", 1.0), ("b", 1.0)):
        loop.after(seconds, lambda name=name: seen.append((name, loop.clock.now() - start)))
    run(loop, lambda: len(seen) == 3)
    assert seen == [("a", 1.0), ("b", 1.0), ("c", 2.0)]


def test_a_call_hands_its_value_or_its_error_to_whoever_asked(loop):
    outcomes = []
    loop.submit(lambda: 42, outcomes.append)
    loop.submit(lambda: 1 / 0, outcomes.append)
    assert outcomes == []  # nothing runs but in `run`
    run(loop, lambda: len(outcomes) == 2)
    assert outcomes[0] == Outcome(42)
    with pytest.raises(ZeroDivisionError):
        outcomes[1].get()


def test_settles_before_it_waits_and_before_it_ends(loop):
    told = []
    loop.post(lambda: told.append("action"))
    loop.run(waiting(lambda: "action" in told, lambda: told.append("settle")))
    assert told[0] == told[-1] == "settle"
    assert "action" in told


def test_nobody_acts_after_a_long_wait_before_it_was_settled(loop):
    """The process may have been stopped for an hour: whoever took over must be noticed before anything is called."""
    told = []
    loop.after(1.0, lambda: told.append("action"))
    loop.run(waiting(lambda: "action" in told, lambda: told.append(("settle", loop.clock.now()))))
    assert told.index(("settle", loop.clock.now())) < told.index("action")


def test_waiting_for_what_cannot_happen_is_noticed(loop):
    with pytest.raises(AssertionError, match="never happen"):
        run(loop, lambda: False)


def test_passes_run_side_by_side_and_each_tells_how_it_ended(loop):
    start, ended = loop.clock.now(), []

    def sleeper(name, seconds):
        passed = []
        loop.after(seconds, lambda: passed.append(True))
        yield Waiting(lambda: None, lambda: bool(passed))
        ended.append((name, loop.clock.now() - start))
        if name == "bad":
            raise ValueError(name)

    outcomes = []
    for name, seconds in (("slow", 3.0), ("bad", 2.0), ("quick", 1.0)):
        loop.begin(sleeper(name, seconds), outcomes.append)
    loop.run_until(lambda: len(outcomes) == 3)
    assert ended == [("quick", 1.0), ("bad", 2.0), ("slow", 3.0)]
    assert [type(outcome.error) for outcome in outcomes] == [type(None), ValueError, type(None)]


def test_a_pass_that_cannot_settle_is_told_where_it_waits_and_may_clean_up(loop):
    told = []

    def settle():
        raise ValueError("the disk is full")

    def steps():
        try:
            yield Waiting(settle, lambda: False)
        except ValueError as error:
            told.append(str(error))
            raise

    with pytest.raises(ValueError, match="full"):
        loop.run(steps())
    assert told == ["the disk is full"]


@pytest.mark.parametrize(
    "schedule", [lambda loop, action: loop.post(action), lambda loop, action: loop.after(1.0, action)]
)
def test_an_action_that_fails_ends_every_pass_and_lets_it_clean_up(loop, schedule):
    outcomes, cleaned = [], []

    def steps():
        try:
            yield Waiting(lambda: None, lambda: False)
        finally:
            cleaned.append(True)

    for _ in range(2):
        loop.begin(steps(), outcomes.append)
    schedule(loop, lambda: 1 / 0)
    loop.run_until(lambda: len(outcomes) == 2)
    assert [type(outcome.error) for outcome in outcomes] == [ZeroDivisionError, ZeroDivisionError]
    assert cleaned == [True, True]


def test_a_call_that_ends_its_thread_is_an_error_and_no_hang():
    def leave():
        raise SystemExit(3)

    outcomes = []
    with ThreadPoolExecutor(1) as pool:
        loop = Loop(SystemClock(), pool)
        loop.after(600.0, lambda: outcomes.append(None))
        loop.submit(leave, outcomes.append)
        loop.run_until(lambda: bool(outcomes))
    with pytest.raises(RuntimeError, match="a call ended with SystemExit"):
        outcomes[0].get()
