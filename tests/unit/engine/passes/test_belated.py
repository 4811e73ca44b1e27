"""A process stands still before a creation leaves it, and another one destroys: nothing is left when it goes on."""

from __future__ import annotations

import os
import random

import pytest

from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import LeaseLostError

from ..conftest import infrastructure, node

TRIALS = int(os.environ.get("OCCOPUS_TRIALS", "20"))


def standing_still(world, at, act, operation="create"):
    """While the `at`-th of these calls stands still before it leaves the machine, something else happens."""
    seen = []

    def during(called):
        if called == operation:
            seen.append(called)
            if len(seen) == at:
                world.during = lambda _operation: None
                act()

    world.during = during


def destroyed_meanwhile(world, seconds=0.0):
    def act():
        world.clock.time += LEASE_SECONDS + 1 + seconds
        world.destroy(holder="second")
        world.assert_nothing()

    return act


@pytest.fixture
def shop(world):
    world.define("a", "b", boot_seconds=3, delete_seconds=1)
    return infrastructure(node("a", min=3), node("b", min=2), edges=[("b", "a")])


@pytest.mark.parametrize("trial", range(TRIALS))
def test_stop_destroy_continue_leaves_nothing(world, shop, trial):
    chance = random.Random(trial)
    standing_still(world, chance.randint(1, 5), destroyed_meanwhile(world, chance.choice((0, 0, 60, 3600))))
    with pytest.raises(LeaseLostError) as lost:
        world.build(shop, holder="first")
    world.assert_nothing()
    assert "were deleted (memory memory sim-" in str(lost.value)
    assert str(lost.value).startswith("another process has taken over the infrastructure 'infra'")
    assert "occopus-maintain --sweep" in str(lost.value)


def test_a_provider_that_shows_it_late_is_waited_for(world, shop):
    seconds = world.handler.consistency_window - 0.5
    world.cloud.set_faults([{"kind": "invisible_seconds", "operation": "create", "seconds": seconds}])
    standing_still(world, 2, destroyed_meanwhile(world))
    with pytest.raises(LeaseLostError):
        world.build(shop, holder="first")
    world.assert_nothing()


def test_a_creation_in_steps_leaves_nothing_half_made(world):
    world.define("a", steps=3)
    standing_still(world, 1, destroyed_meanwhile(world))
    with pytest.raises(LeaseLostError):
        world.build(infrastructure("a"), holder="first")
    world.assert_nothing()


def test_what_the_other_process_goes_on_with_is_left_to_it(world, shop):
    def carried_on():
        world.clock.time += LEASE_SECONDS + 1
        world.convergence(holder="second").maintain()

    standing_still(world, 2, carried_on)
    with pytest.raises(LeaseLostError) as lost:
        world.build(shop, holder="first")
    world.assert_runs({"a": 3, "b": 2})
    assert "all of them are accounted for" in str(lost.value)


def test_maintenance_cleans_up_after_itself_too(world, shop):
    world.build(shop)
    world.cloud.change(world.live()[0]["id"], "lose")
    standing_still(world, 1, destroyed_meanwhile(world))
    with pytest.raises(LeaseLostError):
        world.convergence(holder="first").maintain()
    world.assert_nothing()


def test_a_provider_that_does_not_answer_then_is_named(world, shop):
    def act():
        destroyed_meanwhile(world)()
        world.cloud.set_faults([{"kind": "permanent", "operation": "list"}])

    standing_still(world, 1, act)
    with pytest.raises(LeaseLostError, match="memory memory cannot be searched"):
        world.build(shop, holder="first")
