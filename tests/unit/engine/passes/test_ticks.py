"""Ticks: what has not changed since the last one is not read again, and what has changed is looked at at once."""

from __future__ import annotations

import pytest

from occopus_core.api import Verdict
from occopus_core.api.resource import Address, Instance, InstanceId, InstanceState
from occopus_core.engine.instance.observe import TICK_PATIENCE
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.passes.maintenance_loop import WAKE_SECONDS
from occopus_core.engine.passes.quiet_infrastructures import Known, Tick
from occopus_core.store.records import ScaleKind, Stage
from occopus_core.store.repository import Store

from ..conftest import infrastructure, node
from ..fakes import health_checker
from .test_maintenance_loop import Keeper


@pytest.fixture
def built(world):
    world.define("web")
    world.build(infrastructure(node("web", min=3, max=9)))
    world.clock.time += 60
    world.events.clear()
    return world


@pytest.fixture
def keeper(built, monkeypatch):
    """Maintenance that counts how often it reads the rows of instances."""
    reads = []
    instances = Store.instances
    monkeypatch.setattr(Store, "instances", lambda self, infra_id: reads.append(infra_id) or instances(self, infra_id))
    keeper = Keeper(built)
    keeper.reads = reads
    keeper.rounds.attach("infra")
    return keeper


def test_rows_are_read_once_while_nothing_changes(built, keeper):
    before = built.calls("describe")
    keeper.run(95)
    assert len(keeper.taken) >= 10
    assert keeper.reads == ["infra"]
    assert built.calls("describe") - before == len(keeper.taken), "the provider is asked every time"
    assert built.events == []


@pytest.mark.parametrize("harm", ["lose", "stop", "fail"])
def test_what_fails_at_its_provider_is_replaced(built, keeper, harm):
    lost = built.store.instances("infra")[0]
    keeper.after(50, lambda: built.cloud.change(lost.instance_id, harm))
    keeper.run(50 + 10 + 5)
    built.assert_runs({"web": 3})
    assert lost.node_id not in {record.node_id for record in built.store.instances("infra")}


def test_other_addresses_are_taken(built, keeper):
    record = built.store.instances("infra")[0]
    moved = (Address("127.0.0.9"),)
    keeper.after(50, lambda: built.rewrite(record, addresses=moved))
    keeper.run(50 + 5)
    assert record.addresses in {one.addresses for one in built.store.instances("infra")}


def test_a_health_check_that_fails_is_seen(world):
    checked = {"ok": True}
    world.install("health", "fake", health_checker(lambda probe: Verdict(checked["ok"], "it is ill")))
    world.define("web", implementations=[{"checks": {"fake": True}, "timeout": 30.0}])
    world.build(infrastructure(node("web", min=2, max=5)))
    keeper = Keeper(world)
    keeper.rounds.attach("infra")
    keeper.after(50, lambda: checked.update(ok=False))
    keeper.run(50 + 15)
    assert {record.reason for record in world.store.instances("infra")} == {"it is ill"}


def test_what_another_process_changes_is_looked_at_within_a_second(built, keeper):
    record = built.store.instances("infra")[0]
    keeper.after(52.5, lambda: built.rewrite(record, stage=Stage.BOOTING))
    keeper.run(52.5 + WAKE_SECONDS + 0.5)
    built.assert_runs({"web": 3})


def test_destruction_asked_for_by_another_process_begins_within_a_second(built, keeper):
    keeper.after(52.5, lambda: built.store.request_destroy("infra"))
    keeper.run(52.5 + WAKE_SECONDS + 5)
    built.assert_nothing()


def test_what_another_process_has_destroyed_is_left_alone(built, keeper):
    keeper.after(52.5, built.destroy)
    assert keeper.run(290, until_none_left=True) < 52.5 + WAKE_SECONDS + 5
    assert keeper.rounds.attached == frozenset()


def test_its_own_changes_wake_nothing(built, keeper):
    lost = built.store.instances("infra")[0]
    keeper.after(50, lambda: built.cloud.change(lost.instance_id, "lose"))
    keeper.run(95)
    built.assert_runs({"web": 3})
    assert len(keeper.taken) <= 11


def test_a_request_made_while_a_pass_is_under_way_is_applied_after_it(built, keeper):
    lost = built.store.instances("infra")[0]
    asked = []

    def ask(operation):
        if operation == "create" and not asked:
            asked.append(built.store.request_scaling("infra", "web", ScaleKind.SET, 4, "", built.clock.now()))

    built.during = ask
    keeper.after(50, lambda: built.cloud.change(lost.instance_id, "lose"))
    keeper.run(50 + 10 + WAKE_SECONDS + 1)
    assert asked
    built.assert_runs({"web": 4})


def test_other_credentials_are_used_at_the_next_tick(built, keeper):
    keeper.after(55, lambda: setattr(keeper.resources.connections, "renewals", 1))
    keeper.run(75)
    assert keeper.reads == ["infra", "infra"]


def test_while_it_is_being_worked_on_it_is_not_tried_more_often(built, keeper):
    lease = []
    keeper.after(42, lambda: lease.append(built.store.acquire("infra", "other", built.clock.now())))

    def write():
        with built.store.changing(lease[0]) as change:
            change.put_frozen("")
            change.renew(built.clock.now())

    for second in range(43, 80):
        keeper.after(second, write)
    keeper.run(80)
    assert len(keeper.taken) <= 8 + 2, "once when the change is noticed, then at its turns"


def test_the_end_waits_for_no_tick(built, keeper):
    """Nothing was begun that has to be brought to an end."""
    left = []
    keeper.after(30, lambda: setattr(keeper.resources.observatory, "ask", lambda *_: None))
    keeper.after(50, lambda: keeper.rounds.detach("infra", lambda: left.append(built.clock.now())))
    assert keeper.run(55) < 55.5
    assert len(left) == 1


class Answers:
    """An observatory and health checks that answer when they are told to."""

    def __init__(self):
        self.asked = {}

    def ask(self, what, _items, done):
        self.asked[what] = done


def known(*links, probes=()):
    expected = [(InstanceId("vm"), (Address("127.0.0.1"),))]
    return Known(1, 0, dict.fromkeys(links, expected), {key: ["probe"] for key in probes})


def described(state=InstanceState.READY):
    instance = Instance(InstanceId("vm"), state, addresses=(Address("127.0.0.1"),))
    return Outcome(value={instance.id: Outcome(value=instance)})


class TestOneTick:
    @pytest.fixture
    def begin(self, world):
        providers, checks, found = Answers(), Answers(), {}

        def begin(**infrastructures):
            tick = Tick(world.clock, providers, checks, lambda infra_id, quiet: found.update({infra_id: quiet}))
            tick.begin(infrastructures)
            return tick, providers.asked, checks.asked, found

        return begin

    def test_a_cloud_that_hangs_holds_up_only_what_is_on_it(self, world, begin):
        tick, asked, _, found = begin(both=known("fast", "slow"), one=known("fast"))
        asked["fast"](described())
        assert found == {"one": True}
        assert not tick.expire()
        world.clock.time += TICK_PATIENCE
        assert tick.expire()
        assert found == {"one": True, "both": False}
        asked["slow"](described())
        assert found == {"one": True, "both": False}, "its answer comes too late"

    def test_one_bad_answer_is_enough(self, begin):
        tick, asked, _, found = begin(both=known("a", "b"))
        asked["b"](described(InstanceState.STOPPED))
        asked["a"](described())
        assert found == {"both": False}
        assert tick.expire()

    def test_a_provider_that_fails_is_for_a_pass(self, begin):
        _, asked, _, found = begin(one=known("a"))
        asked["a"](Outcome(error=RuntimeError("away")))
        assert found == {"one": False}

    def test_checks_are_made_of_what_its_provider_reports_as_ready(self, begin):
        _, asked, checked, found = begin(one=known("a", probes=["x", "y"]), ill=known("a", probes=["x"]))
        asked["a"](described())
        assert found == {}
        checked["x"]([Outcome(value=Verdict(True)), Outcome(value=Verdict(False, "ill"))])
        assert found == {"ill": False}
        checked["y"]([Outcome(value=Verdict(True))])
        assert found == {"ill": False, "one": True}

    def test_a_checker_that_fails_is_for_a_pass(self, begin):
        _, asked, checked, found = begin(one=known("a", probes=["x"]))
        asked["a"](described())
        checked["x"]([Outcome(error=RuntimeError("broken"))])
        assert found == {"one": False}

    def test_one_without_instances_is_quiet(self, begin):
        assert begin(none=known())[3] == {"none": True}
