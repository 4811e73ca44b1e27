import random

import pytest

from occopus_core.engine.kernel.intervals import FIRST_DELAY, LONGEST_DELAY, PollIntervals, backoff, poll_interval

BOUNDS = (0.2, 5.0)


@pytest.mark.parametrize(("waited", "seconds"), [(0, 0.2), (10, 0.2), (50, 1.0), (250, 5.0), (5000, 5.0)])
def test_polls_late_by_a_fiftieth_at_most(waited, seconds):
    assert poll_interval(waited, BOUNDS) == seconds


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(1, FIRST_DELAY), (2, 1.0), (3, 2.0), (7, LONGEST_DELAY), (10**6, 30)]
)
def test_backs_off_doubling_up_to_a_bound_and_spread(failures, ceiling):
    delays = [backoff(failures, random.Random(seed)) for seed in range(200)]
    assert all(ceiling / 2 <= delay <= ceiling for delay in delays)
    assert max(delays) - min(delays) > ceiling / 3


def test_of_the_first_of_a_kind_nothing_is_known():
    assert PollIntervals().next_look("a", 10.0, BOUNDS) == poll_interval(10.0, BOUNDS)


def test_looks_when_it_should_be_done():
    intervals = PollIntervals()
    intervals.pending("a", 9.0)
    intervals.done("a", 10.0)
    assert intervals.next_look("a", 5.0, BOUNDS) == poll_interval(5.0, BOUNDS)  # it may be a quicker one
    assert intervals.next_look("a", 9.4, BOUNDS) == pytest.approx(0.1)  # halfway: 9.5
    assert intervals.next_look("a", 9.6, BOUNDS) == poll_interval(9.6, BOUNDS)
    assert intervals.next_look("a", 9.9, BOUNDS) == pytest.approx(0.1)
    assert intervals.next_look("b", 9.9, BOUNDS) == poll_interval(9.9, BOUNDS)


def test_does_not_look_so_shortly_before_that_the_look_at_the_right_moment_comes_late():
    intervals = PollIntervals()
    intervals.pending("a", 9.9)
    intervals.done("a", 10.0)
    assert intervals.next_look("a", 9.6, BOUNDS) == pytest.approx(0.35)


def test_looks_often_once_it_should_be_done():
    intervals = PollIntervals()
    intervals.done("a", 50.0)
    assert intervals.next_look("a", 50.0, BOUNDS) == BOUNDS[0]
    assert intervals.next_look("a", 100.0, BOUNDS) == poll_interval(50.0, BOUNDS)


def test_a_quicker_one_replaces_what_was_known():
    intervals = PollIntervals()
    intervals.pending("a", 9.9)
    intervals.done("a", 10.0)
    intervals.done("a", 2.0)
    assert intervals.next_look("a", 0.95, BOUNDS) == pytest.approx(0.05)


def test_a_slower_one_replaces_what_was_known():
    intervals = PollIntervals()
    intervals.done("a", 2.0)
    intervals.pending("a", 3.0)
    assert intervals.next_look("a", 1.95, BOUNDS) == pytest.approx(0.05)  # until then that is all that is known
    intervals.done("a", 3.1)
    assert intervals.next_look("a", 1.95, BOUNDS) == poll_interval(1.95, BOUNDS)
    assert intervals.next_look("a", 3.06, BOUNDS) == pytest.approx(0.04)
