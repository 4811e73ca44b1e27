import pytest

from occopus_core.api import Verdict
from occopus_core.engine.passes.errors import AbandonedError, BuildError
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureState, NoSuchInfrastructureError, Stage

from ..conftest import infrastructure, interrupter, node
from ..fakes import health_checker


def test_a_built_infrastructure_is_recorded_and_runs(world):
    world.define("db", "web", boot_seconds=5)
    start = world.clock.now()
    world.convergence().build(infrastructure(node("web", min=2, max=3), "db", edges=[("web", "db")]))
    assert world.store.infrastructure("infra").state is InfrastructureState.READY
    records = world.store.instances("infra")
    assert [(r.node_name, r.stage, r.provisional) for r in records] == [
        ("db", Stage.READY, False),
        ("web", Stage.READY, False),
        ("web", Stage.READY, False),
    ]
    assert {r.instance_id for r in records} == {one["id"] for one in world.live()}
    # Two levels of 5 s, each seen a little late.
    assert 10.0 <= world.clock.now() - start <= 11.0


def test_destroy_leaves_nothing(world):
    world.define("db", "web", boot_seconds=5, delete_seconds=3)
    world.convergence().build(infrastructure("web", "db", edges=[("web", "db")]))
    world.convergence().destroy()
    assert world.live() == []
    with pytest.raises(NoSuchInfrastructureError):
        world.store.infrastructure("infra")


def test_a_failed_build_is_undone(world):
    world.define("ok", boot_seconds=5)
    world.define("bad", boot_seconds=1, fail="disk on fire")
    with pytest.raises(BuildError) as caught:
        world.convergence().build(infrastructure("ok", "bad"))
    assert caught.value.problems == ("node 'bad' (memory memory): disk on fire",)
    assert world.live() == []
    with pytest.raises(NoSuchInfrastructureError):
        world.store.infrastructure("infra")


def test_a_build_that_takes_over_an_instance_checks_it_as_its_own_description_says(world):
    world.install("health", "well", health_checker(lambda probe: Verdict(probe.value == "right", "refused")))
    world.define("web", implementations=[{"checks": {"well": "wrong"}, "timeout": 600.0}])
    with pytest.raises(AbandonedError):
        interrupter(world, 1, (EventKind.NODE_WAITING,), times=2).build(infrastructure("web"))
    (begun,) = world.live()
    world.define("web", implementations=[{"checks": {"well": "right"}, "timeout": 600.0}])
    start = world.clock.now()
    world.build(infrastructure("web"))
    assert world.clock.now() - start < 60
    assert [one["id"] for one in world.live()] == [begun["id"]]
