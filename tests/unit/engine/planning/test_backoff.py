"""How failures of a node add up."""

from occopus_core.engine.planning.backoff import (
    PROVING_SECONDS,
    SETBACK_MEMORY,
    failed_to_start,
    next_setback,
    setback_delay,
)
from occopus_core.store.records import InstanceRecord, Setback, Stage


def instance(stage=Stage.READY, unhealthy_since=None):
    return InstanceRecord("", "", "web", 1, "", "", "", "", stage, 1000.0, 900.0, unhealthy_since=unhealthy_since)


def test_which_failures_are_failed_starts():
    assert failed_to_start(instance(Stage.BOOTING))
    assert failed_to_start(instance(unhealthy_since=1000.0 + PROVING_SECONDS - 1))
    assert not failed_to_start(instance(unhealthy_since=1000.0 + PROVING_SECONDS))
    assert not failed_to_start(instance()), "replaced for another reason than its health"


def test_a_start_that_takes_long_to_fail_does_not_make_earlier_failures_forgotten():
    before, now = Setback(3, 1000.0), 1000.0 + 2 * SETBACK_MEMORY
    assert next_setback(before, now, began=1040.0) == Setback(4, now)
    assert setback_delay(next_setback(before, now, began=1040.0), now) == 40.0
    assert next_setback(before, now, began=now) == Setback(1, now), "that of an instance that had run well"
    assert next_setback(before, now, began=1000.0 + SETBACK_MEMORY) == Setback(1, now), "begun after it was forgotten"
    assert next_setback(None, now, began=0.0) == Setback(1, now)


def test_a_clock_that_was_set_back_counts_as_no_time():
    assert next_setback(Setback(3, 1000.0), 500.0, began=600.0) == Setback(4, 500.0)
