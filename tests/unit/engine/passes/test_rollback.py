import itertools

import pytest

from occopus_core.engine.passes.errors import AbandonedError, BuildError, InterruptedBuildError
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureState

from ..conftest import infrastructure, interrupter, node
from ..fakes import KilledError

CHAIN = infrastructure("a", node("b", min=2), "c", edges=[("b", "a"), ("c", "b")])
TWO = [{"resource": {"project": "east"}}, {"resource": {"project": "west"}}]


def test_twenty_nodes_whose_fifteenth_is_refused_leave_nothing(world):
    world.define(*(names := [f"n{number:02}" for number in range(20)]), boot_seconds=1, steps=2, delete_seconds=3)
    world.cloud.set_faults([{"kind": "permanent", "operation": "create", "node_name": "n14", "nth": 2}])
    edges = list(itertools.pairwise(reversed(names)))
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure(*names, edges=edges))
    assert caught.value.problems == ("node 'n14' (memory memory): memory cloud: refused",)
    assert world.told(EventKind.NODE_CREATING) == names[:15]
    assert world.told(EventKind.NODE_DROPPED) == names[14::-1]
    world.assert_nothing()


def test_what_is_under_way_is_undone_too(world):
    world.define("bad", boot_seconds=1, fail="disk on fire")
    world.define("slow", boot_seconds=500, delete_seconds=10)
    start = world.clock.now()
    with pytest.raises(BuildError, match="disk on fire"):
        world.build(infrastructure(node("slow", min=5), "bad"))
    assert world.clock.now() - start < 20
    world.assert_nothing()


def test_an_undoing_that_is_not_confirmed_is_told_and_can_be_finished(world):
    world.define("ok", "bad", boot_seconds=1)
    world.cloud.set_faults(
        [
            {"kind": "permanent", "operation": "create", "node_name": "bad", "reason": "no"},
            {"kind": "permanent", "operation": "delete", "node_name": "ok", "reason": "locked"},
        ]
    )
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("ok", "bad", edges=[("bad", "ok")]))
    assert caught.value.problems == ("node 'bad' (memory memory): memory cloud: no",)
    assert caught.value.unconfirmed == ("node 'ok' (memory memory): memory cloud: locked",)
    assert world.store.infrastructure("infra").state is InfrastructureState.DROPPING
    world.cloud.set_faults([])
    world.destroy()
    world.assert_nothing()


def interruptions(world, make):
    """Interrupt at every single event of what `make(infra_id)` sets up and returns the description of."""
    for at in itertools.count(1):
        infra_id = f"infra{at}"
        world.events.clear()
        candidate = make(infra_id)
        world.events.clear()
        count = 0

        def observer(event):
            nonlocal count
            world.events.append(event)
            count += 1
            if count == at:  # noqa: B023
                convergence.interrupt("SIGINT")  # noqa: B023

        convergence = world.convergence(infra_id, observer=observer)
        try:
            convergence.build(candidate)
        except InterruptedBuildError as error:
            assert error.problems == ("SIGINT",)  # noqa: PT017
            assert (EventKind.ROLLING_BACK, "SIGINT") in [(event.kind, event.text) for event in world.events]
            yield infra_id, True
        else:
            yield infra_id, False
        if count < at:
            return


@pytest.mark.parametrize("width", [1, None])
def test_interrupted_at_any_event_a_first_build_leaves_nothing(world, width):
    world.define("a", "b", steps=2, boot_seconds=1, delete_seconds=1)
    world.define("c", boot_seconds=1, implementations=TWO, steps=2)

    def make(infra_id):
        world.cloud.set_faults([{"kind": "quota", "operation": "create", "node_name": "c", "nth": 2}])
        return CHAIN

    outcomes = []
    for infra_id, interrupted in interruptions(world, make):
        outcomes.append(interrupted)
        if interrupted:
            world.assert_nothing(infra_id)
        else:
            world.assert_runs({"a": 1, "b": 2, "c": 1}, infra_id)
    assert outcomes.count(True) >= 15
    assert outcomes[-1] is False


def test_interrupted_at_any_event_an_update_leaves_what_was(world):
    world.define("a", "c", "d", boot_seconds=1, delete_seconds=1)
    world.define("b", boot_seconds=1, delete_seconds=1, image="port {{ variables.port }}")
    before = {}

    def make(infra_id):
        world.build(infrastructure("a", node("b", port=1), "c", edges=[("b", "a")]), infra_id=infra_id)
        before[infra_id] = (world.live(infra_id), world.store.instances(infra_id), world.store.infrastructure(infra_id))
        return infrastructure("a", node("b", port=2), "d", edges=[("b", "a"), ("d", "b")])

    outcomes = []
    for infra_id, interrupted in interruptions(world, make):
        outcomes.append(interrupted)
        if interrupted:
            after = (world.live(infra_id), world.store.instances(infra_id), world.store.infrastructure(infra_id))
            assert after == before[infra_id]
        else:
            world.assert_runs({"a": 1, "b": 1, "d": 1}, infra_id)
    assert outcomes.count(True) >= 6
    assert outcomes[-1] is False


def test_a_second_interrupt_abandons_a_build_with_its_rows(world):
    world.define("a", "b", "c", boot_seconds=1, delete_seconds=100)
    start = world.clock.now()
    with pytest.raises(AbandonedError):
        interrupter(world, 1, [EventKind.NODE_BOOTING], times=2).build(CHAIN)
    assert world.clock.now() - start < 5
    assert [row.token for row in world.store.instances("infra") if row.node_name == "a"] == [
        one["token"] for one in world.live()
    ]
    world.build(CHAIN)
    world.assert_runs({"a": 1, "b": 2, "c": 1})


def test_a_second_interrupt_while_it_is_undone_abandons_it(world):
    world.define("a", "b", "c", boot_seconds=1, delete_seconds=100)

    def observer(event):
        if event.kind in (EventKind.NODE_BOOTING, EventKind.NODE_DROPPING) and event.node_name == "a":
            convergence.interrupt("SIGINT")

    convergence = world.convergence(observer=observer)
    with pytest.raises(AbandonedError):
        convergence.build(CHAIN)
    rows = world.store.instances("infra")
    assert len({row.token for row in rows}) == len(rows)
    world.destroy()
    world.assert_nothing()


def test_a_rollback_that_a_second_interrupt_ends_is_finished_by_maintenance(world):
    world.define("a", "b", boot_seconds=1, delete_seconds=100)
    world.build(infrastructure("a"))

    def observer(event):
        if event.kind in (EventKind.NODE_BOOTING, EventKind.NODE_DROPPING) and event.node_name == "b":
            convergence.interrupt("SIGINT")

    convergence = world.convergence(observer=observer)
    with pytest.raises(AbandonedError):
        convergence.build(infrastructure("a", "b"))
    assert world.store.infrastructure("infra").rolling_back == "SIGINT"
    assert world.convergence().maintain().undone == ("the update was rolled back: SIGINT",)
    assert world.store.infrastructure("infra").description == infrastructure("a")
    world.assert_runs({"a": 1})


def test_an_abandoned_update_says_so_although_the_new_description_is_in_force(world):
    world.define("a", "b", delete_seconds=100)
    world.build(infrastructure("a", "b"))
    with pytest.raises(AbandonedError):
        interrupter(world, 1, [EventKind.NODE_DROPPING], times=2).build(infrastructure("a"))
    assert world.store.infrastructure("infra").description == infrastructure("a")
    world.build(infrastructure("a"))
    world.assert_runs({"a": 1})


def test_interrupted_before_it_began_nothing_is_created(world):
    world.define("a")
    convergence = world.convergence()
    convergence.interrupt("SIGTERM")
    with pytest.raises(InterruptedBuildError, match="SIGTERM"):
        convergence.build(infrastructure("a"))
    assert world.calls("create") == 0
    world.assert_nothing()


def test_a_rollback_that_is_carried_on_searches_every_connection_before_it_forgets(world):
    """The process that began it is killed in the last search, when all rows are gone; an instance was made twice."""
    world.define("web", fail="no good")
    world.doubles(hidden=1.0)

    def die(operation):
        if operation == "list":
            raise KilledError

    world.during = die
    with pytest.raises(KilledError):
        world.build(infrastructure("web"))
    assert world.store.instances("infra") == []
    assert len(world.live()) == 1
    world.during = lambda _operation: None
    world.clock.time += 60
    with pytest.raises(BuildError):
        world.convergence().maintain()
    world.assert_nothing()
