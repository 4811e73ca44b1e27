import pytest

from occopus_core.engine.loop import Loop, Outcome, Waiting
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
