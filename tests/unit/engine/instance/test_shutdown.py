"""What an instance is given before it is deleted: a grace to shut down (`stop_seconds`)."""

import pytest

from occopus_core.api import Feature
from occopus_core.store.records import Stage

from ..conftest import infrastructure, node
from ..fakes import KilledError


@pytest.fixture
def built(world):
    world.define("web", stop_seconds=30, shutdown_seconds=5)
    world.build(infrastructure(node("web", min=4)))
    return world


def operations(world):
    calls = [(call["operation"], call["instances"]) for call in world.cloud.log()]
    return [call for call in calls if call[0] in ("stop", "delete")]


def test_instances_are_asked_to_stop_at_once_and_deleted_when_they_have(built):
    start = built.clock.now()
    built.destroy()
    assert operations(built) == [("stop", 4), ("delete", 4)]
    assert 5 <= built.clock.now() - start < 12
    built.assert_nothing()


def test_the_grace_ends(world):
    world.define("web", stop_seconds=30, shutdown_seconds=10**6)
    world.build(infrastructure("web"))
    start = world.clock.now()
    world.destroy()
    assert 30 <= world.clock.now() - start < 40
    world.assert_nothing()


def test_the_row_is_dropping_before_it_is_asked_to_stop(built):
    stages = []
    built.during = lambda operation: (
        operation == "stop" and stages.extend(row.stage for row in built.store.instances("infra"))
    )
    built.destroy()
    assert set(stages) == {Stage.DROPPING}


def test_the_grace_goes_on_after_a_kill(world):
    world.define("web", stop_seconds=60, shutdown_seconds=10**6)
    world.build(infrastructure("web"))
    start, looks = world.clock.now(), []

    def die(operation):
        if operation == "describe":
            looks.append(1)
            if len(looks) == 3:
                raise KilledError

    world.during = die
    with pytest.raises(KilledError):
        world.destroy()
    world.during = lambda operation: None
    world.clock.time += 40
    world.destroy()
    assert 60 <= world.clock.now() - start < 75
    world.assert_nothing()


@pytest.mark.parametrize("kind", ["error_500", "hang", "lost_reply", "permanent"])
def test_a_stop_that_fails_keeps_nothing_alive(built, kind):
    built.cloud.set_faults([{"kind": kind, "operation": "stop"}])
    start = built.clock.now()
    built.destroy()
    assert built.clock.now() - start < 45
    built.assert_nothing()


def test_without_stop_seconds_it_is_deleted_at_once(world):
    world.define("web", shutdown_seconds=5)
    world.build(infrastructure("web"))
    world.destroy()
    assert operations(world) == [("delete", 1)]


def test_the_key_is_the_cores_and_never_reaches_the_handler(world):
    seen = []

    class Handler(world.handler):
        def create(self, request):
            seen.append(dict(request.resource))
            return super().create(request)

    world.install("resource", "memory", Handler)
    world.define("web", stop_seconds=30)
    world.build(infrastructure("web"))
    assert "stop_seconds" not in seen[0]
    world.define("web", stop_seconds=10)
    assert world.convergence().plan(infrastructure("web")).empty
    assert world.registry.schema("resource", "memory")["properties"]["stop_seconds"]["minimum"] == 0


def test_a_handler_that_cannot_stop_has_no_such_key(world):
    class Handler(world.handler):
        features = frozenset({Feature.LOGS})

    world.install("resource", "memory", Handler)
    assert "stop_seconds" not in world.registry.schema("resource", "memory")["properties"]
