"""What takes long to go keeps nothing else of its infrastructure from being looked after."""

from __future__ import annotations

import pytest

from occopus_core.engine.instance.deletion import GOES_ON, LONGEST_DELETION, OVERDUE
from occopus_core.engine.instance.execution import DELETION_SECONDS
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import Passed
from occopus_core.engine.passes.maintaining import maintain
from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind, Stage

from ..conftest import infrastructure, node
from .test_maintenance_loop import Keeper

SLOW = 600.0


@pytest.fixture
def going(world):
    """One of two web nodes is asked to go, which takes ten minutes."""
    world.define("db")
    world.define("web", delete_seconds=SLOW)
    world.build(infrastructure("db", node("web", min=1, max=2), edges=[("web", "db")]))
    world.store.request_scaling("infra", "web", ScaleKind.SET, 2, "", world.clock.now())
    world.convergence().maintain()
    world.store.request_scaling("infra", "web", ScaleKind.SET, 1, "", world.clock.now())
    world.events.clear()
    return world


def test_a_pass_leaves_a_slow_deletion_to_the_next(going):
    began = going.clock.now()
    passed = going.convergence().maintain()
    assert DELETION_SECONDS <= going.clock.now() - began <= DELETION_SECONDS + 6
    what = "node 'web' (memory memory): the provider is deleting it"
    assert passed == Passed(unconfirmed=(f"{what}; {GOES_ON}",))
    (row,) = [row for row in going.store.instances("infra") if row.stage is Stage.DROPPING]
    assert row.node_name == "web"
    assert going.store.holding("infra") is None
    going.clock.time += SLOW
    assert going.convergence().maintain() == Passed()
    going.assert_runs({"db": 1, "web": 1})


def test_a_pass_that_has_given_up_one_deletion_leaves_a_slow_one_to_the_next(world):
    world.define("refused")
    world.define("slow", delete_seconds=SLOW)
    world.build(infrastructure(node("refused", min=1, max=2), node("slow", min=1, max=2)))
    for count in (2, 1):
        for name in ("refused", "slow"):
            world.store.request_scaling("infra", name, ScaleKind.SET, count, "", world.clock.now())
        if count == 1:
            world.cloud.set_faults([{"kind": "permanent", "operation": "delete", "node_name": "refused"}])
        began = world.clock.now()
        passed = world.convergence().maintain()
    assert world.clock.now() - began <= DELETION_SECONDS + 6
    places = [line.partition(":")[0] for line in passed.unconfirmed]
    assert places == ["node 'slow' (memory memory)", "node 'refused' (memory memory)"]


def test_what_fails_meanwhile_is_replaced_soon(going):
    keeper = Keeper(going)
    (db,) = [row for row in going.store.instances("infra") if row.node_name == "db"]
    began = going.clock.now()
    keeper.rounds.attach("infra")
    keeper.after(60, lambda: going.cloud.change(db.instance_id, "lose"))
    keeper.run(60 + 15)
    new = [row for row in going.store.instances("infra") if row.node_name == "db" and row.stage is Stage.READY]
    assert [row.node_id for row in new] != [db.node_id]
    assert new
    assert new[0].created_at - began <= 60 + 10


def test_it_is_told_once_however_many_passes_it_takes(going):
    keeper = Keeper(going)
    keeper.rounds.attach("infra")
    keeper.run(SLOW + 60)
    going.assert_runs({"db": 1, "web": 1})
    assert going.told(EventKind.NODE_DROPPING) == ["web"]
    assert going.told(EventKind.NODE_DROPPED) == ["web"]
    assert going.told(EventKind.NODE_UNCONFIRMED) == []
    assert keeper.said == []


def test_nobody_goes_on_with_it_after_the_pass(going):
    """What a single pass had planned for later is not done by two."""
    context = PassContext(going.resources(), "infra")
    context.resources.loop.run(context.attended(maintain(context)))
    calls = going.cloud.calls()["total"]
    context.resources.loop.run(context.resources.loop.pause(300))
    assert going.cloud.calls()["total"] == calls


def test_maintenance_goes_on_with_it_in_one_pass(going):
    keeper = Keeper(going)
    keeper.rounds.attach("infra")
    keeper.run(SLOW + 60)
    assert keeper.taken.count("infra") <= 1 + 7, "one until it was gone, then one every ten seconds"


def test_maintenance_that_is_ended_leaves_it_to_the_next(going):
    keeper = Keeper(going)
    left = []
    keeper.rounds.attach("infra")
    keeper.after(100, lambda: keeper.rounds.detach("infra", lambda: left.append(going.clock.now())))
    began = going.clock.now()
    keeper.run(200)
    assert len(left) == 1
    assert left[0] - began <= 100 + DELETION_SECONDS
    assert going.store.holding("infra") is None


def test_one_that_never_goes_is_told(world):
    world.define("web", delete_seconds=10**6)
    world.build(infrastructure(node("web", min=1, max=2)))
    world.store.request_scaling("infra", "web", ScaleKind.SET, 2, "", world.clock.now())
    world.convergence().maintain()
    world.store.request_scaling("infra", "web", ScaleKind.SET, 1, "", world.clock.now())
    keeper = Keeper(world)
    keeper.rounds.attach("infra")
    keeper.run(LONGEST_DELETION - 20)
    assert world.told(EventKind.NODE_UNCONFIRMED) == []
    keeper = Keeper(world)
    keeper.rounds.attach("infra")
    keeper.run(600)
    assert world.told(EventKind.NODE_UNCONFIRMED) == ["web"]
    assert world.convergence().maintain() == Passed(unconfirmed=(f"node 'web' (memory memory): {OVERDUE}",))


def test_one_that_cannot_be_asked_for_is_given_up_and_told(going):
    going.cloud.set_faults([{"kind": "error_500", "operation": "delete"}])
    going.convergence().maintain()
    assert going.told(EventKind.NODE_UNCONFIRMED) == ["web"]


def test_an_infrastructure_that_is_destroyed_waits_for_its_deletions(going):
    began = going.clock.now()
    going.destroy()
    assert going.clock.now() - began >= SLOW
    going.assert_nothing()
