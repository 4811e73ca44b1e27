import pytest

from occopus_core.api import AuthError, ThrottledError, TransientError
from occopus_core.engine.kernel.call_limits import LONGEST_REST, REFUSED_SECONDS, THROTTLE_SECONDS, CallLimits
from occopus_core.engine.kernel.loop import Loop
from occopus_core.testing.time import InlineExecutor, VirtualClock

from ..fakes import HeldExecutor


def raising(error):
    def call():
        raise error

    return call


@pytest.fixture
def loop():
    return Loop(VirtualClock(), InlineExecutor())


def test_a_bounded_number_of_calls_is_under_way():
    executor = HeldExecutor()
    loop = Loop(VirtualClock(), executor)
    limits, done = CallLimits(loop, 2), []
    for number in range(5):
        limits.submit(lambda number=number: number, lambda outcome: done.append(outcome.value))
    for answered in range(1, 6):
        assert len(executor.held) == min(2, 6 - answered)
        executor.go()
        loop.run_until(lambda answered=answered: len(done) == answered)
    assert done == [0, 1, 2, 3, 4]
    assert executor.held == []


@pytest.mark.parametrize(("said", "rest"), [(7.0, 7.0), (None, THROTTLE_SECONDS)])
def test_a_throttled_connection_rests(loop, said, rest):
    limits, start, done = CallLimits(loop, 1), loop.clock.now(), []
    limits.submit(raising(ThrottledError("slow down", retry_after=said)), done.append)
    limits.submit(loop.clock.now, done.append)
    loop.run_until(lambda: len(done) == 2)
    assert done[1].value - start == pytest.approx(rest)


def test_any_other_failure_stops_nobody(loop):
    limits, start, done = CallLimits(loop, 1), loop.clock.now(), []
    limits.submit(raising(TransientError("away")), done.append)
    limits.submit(loop.clock.now, done.append)
    loop.run_until(lambda: len(done) == 2)
    assert done[1].value == start


def test_refused_credentials_close_the_connection(loop):
    limits, done, called = CallLimits(loop, 1), [], []
    limits.submit(raising(AuthError("wrong password")), done.append)
    limits.submit(lambda: called.append(1), done.append)
    loop.run_until(lambda: len(done) == 2)
    limits.submit(lambda: called.append(2), done.append)
    loop.run_until(lambda: len(done) == 3)
    assert called == []
    assert {str(outcome.error) for outcome in done} == {"wrong password"}


def test_a_refused_connection_is_tried_again_after_a_while(loop):
    limits, done = CallLimits(loop, 1), []
    limits.submit(raising(AuthError("expired")), done.append)
    loop.run_until(lambda: len(done) == 1)
    loop.clock.time += REFUSED_SECONDS
    limits.submit(lambda: "renewed", done.append)
    loop.run_until(lambda: len(done) == 2)
    assert done[1].value == "renewed"


def test_no_provider_can_ask_for_an_endless_rest(loop):
    limits, start, done = CallLimits(loop, 1), loop.clock.now(), []
    limits.submit(raising(ThrottledError("come back tomorrow", retry_after=86400.0)), done.append)
    limits.submit(loop.clock.now, done.append)
    loop.run_until(lambda: len(done) == 2)
    assert done[1].value - start == pytest.approx(LONGEST_REST)
