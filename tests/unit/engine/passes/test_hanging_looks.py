"""Calls that never return: how instances are is asked again, and nothing waits for the lost call."""

from __future__ import annotations

from occopus_core.api import ConfigState, ConfigStatus, Verdict
from occopus_core.api.errors import TransientError
from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind

from ..conftest import infrastructure
from ..fakes import config_manager, health_checker
from .test_maintenance_loop import Keeper
from .test_slow_clouds import Clouds, clouds

__all__ = ["Clouds", "clouds"]


def rows(world, name):
    return [one for one in world.store.instances("infra") if one.node_name == name]


def ask(world, name, kind=ScaleKind.REPLACE, amount=0):
    world.store.request_scaling("infra", name, kind, amount, "", world.clock.now())


def kept(world, clouds):
    """Maintenance of a node on the slow cloud; the calls of describe() that begin in seconds 20 to 31 never return."""
    return losing(world, clouds, "far", "describe"), rows(world, "far")[0]


def losing(world, clouds, name, operation):
    """Maintenance of a node that is built; the calls of an operation that begin in seconds 20 to 31 never return."""
    world.build(infrastructure(name))
    world.clock.time += 60
    world.events.clear()
    keeper = Keeper(world, interval=10.0)
    keeper.rounds.attach("infra")
    clouds.seconds = 1e6
    keeper.after(20, lambda: clouds.hangs.add(operation))
    keeper.after(31, clouds.hangs.clear)
    return keeper


def test_a_request_is_applied_after_a_call_that_never_returned(world, clouds):
    keeper, first = kept(world, clouds)
    keeper.after(100, lambda: ask(world, "far"))
    seen = []
    keeper.after(1900, lambda: seen.append((len(keeper.taken), world.store.lease_end("infra"))))
    keeper.run(2000)
    assert seen[0][1] is None, f"{seen}: no tick since second 100, and the lease is renewed for ever"
    assert first.node_id not in {one.node_id for one in rows(world, "far")}


def test_a_provider_is_asked_again_after_a_call_that_never_returned(world, clouds):
    keeper, first = kept(world, clouds)
    keeper.after(200, lambda: world.cloud.change(first.instance_id, "stop"))
    keeper.run(2500)
    assert first.node_id not in {one.node_id for one in rows(world, "far")}


# 2b
def test_a_checker_is_asked_again_after_calls_that_never_returned(world, clouds):
    state = {"hang": 0}

    def answer(probe):
        if state["hang"]:
            state["hang"] -= 1
            clouds._hanging.append("check")
        return Verdict("ill" not in state, "refused" if "ill" in state else "")

    world.install("health", "port", health_checker(answer))
    world.define("near", implementations=[{"resource": {"project": "fast"}, "checks": {"port": 1}, "timeout": 60.0}])
    world.build(infrastructure("near"))
    (first,) = rows(world, "near")
    world.clock.time += 60
    keeper = Keeper(world, interval=10.0)
    keeper.rounds.attach("infra")
    clouds.seconds = 1e6
    keeper.after(20, lambda: state.update(hang=2))
    keeper.after(200, lambda: state.update(ill=1))
    keeper.run(2500)
    assert first.node_id not in {one.node_id for one in rows(world, "near")}


def test_a_provider_that_fails_first_and_hangs_then_is_asked_ever_more_seldom(world, clouds):
    inner, count = clouds.hang, [0]

    def hang(operation):
        if operation == "describe" and clouds.hangs:
            count[0] += 1
            if count[0] % 2:
                raise TransientError("503")
        inner(operation)

    clouds.hang = hang
    world.build(infrastructure("far", "near"))
    world.clock.time += 60
    keeper = Keeper(world, interval=10.0)
    keeper.rounds.attach("infra")
    clouds.hangs = {"describe"}
    keeper.run(300)
    assert clouds.asked <= 2, f"{clouds.asked} calls hang at once after 300 s, and only {len(keeper.taken)} passes"


def test_an_ill_instance_on_a_slow_cloud_is_not_called_lost(world, clouds):
    ill = {}
    world.install("health", "port", health_checker(lambda probe: Verdict(not ill, "refused" if ill else "")))
    world.define("far", implementations=[{"resource": {"project": "slow"}, "checks": {"port": 1}, "timeout": 300.0}])
    world.build(infrastructure("far"))
    world.clock.time += 3600
    world.events.clear()
    keeper = Keeper(world, interval=10.0)
    keeper.rounds.attach("infra")
    clouds.hangs = {"describe"}
    clouds.seconds = 25.0  # within the time of a call
    keeper.after(50, lambda: ill.update(x=1))
    seen = []
    for at in range(55, 190, 5):
        keeper.after(at, lambda: seen.append((rows(world, "far")[0].condition.value, rows(world, "far")[0].reason)))
    keeper.run(200)
    assert [one.text for one in world.events if one.kind is EventKind.NODE_UNHEALTHY] == ["refused"]
    assert "failed" not in [one for one, _ in seen], "ill for 150 s of 300, and its provider has it"


def test_a_manager_is_asked_again_after_calls_that_never_returned(world, clouds):
    """The job of its node gets lost later on, and the node is configured again."""

    class Manager(config_manager()):
        lost = False

        def configure(self, node):
            Manager.lost = False
            super().configure(node)

        def status(self, nodes):
            clouds.hang("status")
            found = super().status(nodes)
            return {id: ConfigStatus(ConfigState.UNKNOWN) for id in found} if Manager.lost else found

    world.install("config", "fake", Manager)
    world.define("web", implementations=[{"config": {"type": "fake", "endpoint": "chef"}, "timeout": 60.0}])
    keeper = losing(world, clouds, "web", "status")
    keeper.after(200, lambda: setattr(Manager, "lost", True))
    keeper.run(1000)
    assert clouds.asked == 1
    assert world.told(EventKind.NODE_RECONFIGURED) == ["web"]


def test_a_manager_that_never_answers_again_is_asked_ever_more_seldom(world, clouds):
    class Manager(config_manager()):
        def status(self, nodes):
            clouds.hang("status")
            return super().status(nodes)

    world.install("config", "fake", Manager)
    world.define("web", implementations=[{"config": {"type": "fake", "endpoint": "chef"}, "timeout": 60.0}])
    world.build(infrastructure("web"))
    world.clock.time += 60
    keeper = Keeper(world, interval=10.0)
    keeper.rounds.attach("infra")
    clouds.seconds = 1e6
    clouds.hangs.add("status")
    keeper.run(2000)
    assert 2 <= clouds.asked <= 4
