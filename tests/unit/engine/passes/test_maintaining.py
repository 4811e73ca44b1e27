from __future__ import annotations

from typing import ClassVar

import pytest

from occopus_core.api import HealthChecker, Verdict
from occopus_core.descriptions.times import written
from occopus_core.engine.passes.errors import BusyError, Passed
from occopus_core.events import EventKind
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import Condition, NoSuchInfrastructureError, ScaleKind, Stage

from ..conftest import infrastructure, node


class Fake(HealthChecker):
    """Says what the test wants, by address."""

    sick: ClassVar[dict[str, str]] = {}

    @classmethod
    def schema(cls):
        return {}

    def check(self, probes):
        return [Verdict(p.address not in self.sick, self.sick.get(p.address, "")) for p in probes]


@pytest.fixture
def sick(world):
    sick = {}
    world.registry._loaded["health", "fake"] = type("Checker", (Fake,), {"sick": sick})
    return sick


def built(world, *nodes, timeout=60.0, **resource):
    world.define(
        "web", "db", implementations=[{"checks": {"fake": True}, "timeout": timeout}], boot_seconds=2, **resource
    )
    world.convergence().build(infrastructure(*nodes))
    world.events.clear()


def records(world):
    return world.store.instances("infra")


def kinds(world):
    return [event.kind for event in world.events]


def later(world, seconds):
    world.clock.time += seconds


def test_a_pass_over_what_is_well_changes_nothing(world, sick):
    built(world, node("web", min=3))
    before, calls = records(world), world.cloud.calls()["total"].copy()
    world.convergence().maintain()
    assert records(world) == before
    assert world.events == []
    after = world.cloud.calls()["total"]
    assert {op: after[op] - calls[op] for op in after if after[op] != calls[op]} == {"describe": 1}


def test_a_lost_instance_is_replaced_at_once(world, sick):
    built(world, node("web", min=2))
    later(world, 60)
    lost = records(world)[0]
    world.cloud.change(lost.instance_id, "lose")
    world.convergence().maintain()
    now = records(world)
    assert len(now) == 2
    assert lost.node_id not in {r.node_id for r in now}
    assert {r.stage for r in now} == {Stage.READY}
    assert EventKind.HEALING in kinds(world)
    assert not any(r.provisional for r in now)


def test_one_so_young_that_it_may_be_hidden_is_said_to_be_lost_and_replaced_when_that_is_certain(world, sick):
    world.handler.consistency_window = 60.0
    built(world, node("web"))
    (young,) = records(world)
    world.cloud.change(young.instance_id, "lose")
    sick[young.address] = "does not answer pings: set ping: false"
    world.convergence().maintain()
    (kept,) = records(world)
    assert (kept.node_id, kept.condition) == (young.node_id, Condition.FAILED)
    assert [e.text for e in world.events] == [kept.reason] == ["the provider does not know it any more"]
    later(world, 60)
    world.convergence().maintain()
    healed = [e.text for e in world.events if e.kind is EventKind.HEALING]
    assert healed == [f"{kept.reason} (0 s after it became ready), replaced after 60 s"]
    assert young.node_id not in {r.node_id for r in records(world)}


@pytest.mark.parametrize("chosen", [False, True])
def test_a_failed_one_that_goes_with_a_scaling_down_is_not_healed(world, sick, chosen):
    """Between its failure and its end another one was made, which does not replace it."""
    world.handler.consistency_window = 60.0
    built(world, node("web", min=1, max=3))
    (failed,) = records(world)
    world.cloud.change(failed.instance_id, "lose")
    sick[failed.address] = "does not answer"
    world.convergence().maintain()
    later(world, 1)
    world.store.request_scaling("infra", "web", ScaleKind.SET, 2, "", world.clock.now())
    world.convergence().maintain()
    assert [r.condition for r in records(world)] == [Condition.FAILED, Condition.WELL]
    kind, count, node_id = (ScaleKind.CHANGE, -1, failed.node_id) if chosen else (ScaleKind.SET, 1, "")
    world.store.request_scaling("infra", "web", kind, count, node_id, world.clock.now())
    world.convergence().maintain()
    assert {r.stage for r in records(world) if r.node_id == failed.node_id} <= {Stage.DROPPING}
    assert world.told(EventKind.NODE_DROPPING) == ["web"]
    assert EventKind.HEALING not in kinds(world)


def test_one_that_is_hidden_for_a_moment_and_well_is_left_alone(world, sick):
    world.handler.consistency_window = 60.0
    built(world, node("web"))
    (young,) = records(world)
    world.cloud.change(young.instance_id, "lose")
    world.convergence().maintain()
    assert [(r.node_id, r.condition) for r in records(world)] == [(young.node_id, Condition.WELL)]
    assert world.events == []


def test_a_sick_node_is_replaced_after_its_timeout_and_not_before(world, sick):
    built(world, node("web", min=2), timeout=60.0)
    ill = records(world)[0]
    sick[ill.address] = "port 8080 refused"
    for _ in range(6):
        world.convergence().maintain()
        later(world, 10)
    kept = {r.node_id: r for r in records(world)}
    assert kept[ill.node_id].reason == "port 8080 refused"
    assert kept[ill.node_id].unhealthy_since is not None
    assert kinds(world) == [EventKind.NODE_UNHEALTHY]  # once, not at every pass
    later(world, 10)
    world.convergence().maintain()
    assert ill.node_id not in {r.node_id for r in records(world)}
    healing = next(e for e in world.events if e.kind is EventKind.HEALING)
    assert healing.text == "for 70 s (limit 60 s): port 8080 refused (0 s after it became ready)"
    assert len(world.live()) == 2


def test_a_node_that_gets_well_is_left_alone(world, sick):
    built(world, node("web"))
    ill = records(world)[0]
    sick[ill.address] = "slow"
    world.convergence().maintain()
    sick.clear()
    world.convergence().maintain()
    later(world, 1000)
    world.convergence().maintain()
    assert [r.node_id for r in records(world)] == [ill.node_id]
    assert records(world)[0].unhealthy_since is None
    assert kinds(world) == [EventKind.NODE_UNHEALTHY, EventKind.NODE_RECOVERED]


def cycles(world, sick, address, number, ill, well):
    """Ill for so many seconds, then well for so many, seen every ten seconds."""
    for _ in range(number):
        for seconds, reason in ((ill, "port 80 refused"), (well, "")):
            sick.update({address: reason} if reason else {})
            if not reason:
                sick.pop(address, None)
            for _ in range(seconds // 10):
                world.convergence().maintain()
                later(world, 10)


@pytest.mark.parametrize(("well", "replaced"), [(20, True), (50, True), (70, False)])
def test_the_time_in_which_a_node_is_ill_adds_up_over_short_recoveries(world, sick, well, replaced):
    """Ill for 20 s again and again, with a limit of 60: that is too long, unless it is well for a minute between."""
    built(world, node("web", min=2), timeout=60.0)
    later(world, 100)
    ill = records(world)[0]
    cycles(world, sick, ill.address, 8, ill=20, well=well)
    assert (ill.node_id not in {r.node_id for r in records(world)}) == replaced
    healed = [e.text for e in world.events if e.kind is EventKind.HEALING]
    assert bool(healed) == replaced
    assert all("(limit 60 s): port 80 refused" in text for text in healed)


def test_what_fails_soon_after_it_was_ready_is_a_failed_start(world, sick):
    """It is said so, and counts like one that could not be made, however long that took."""
    built(world, node("web"), timeout=1800.0)
    for expected in (1, 2, 3):
        (new,) = records(world)
        later(world, 30)
        sick[new.address] = "port 80 refused"
        world.convergence().maintain()
        later(world, 1900)
        world.convergence().maintain()
        assert world.store.infrastructure("infra").setbacks["web"].count == expected
    healed = [e.text for e in world.events if e.kind is EventKind.HEALING]
    assert healed == ["for 1900 s (limit 1800 s): port 80 refused (30 s after it became ready)"] * 3
    later(world, 600)
    (new,) = records(world)
    sick[new.address] = "port 80 refused"
    world.convergence().maintain()
    later(world, 1900)
    world.convergence().maintain()
    assert world.store.infrastructure("infra").setbacks["web"].count == 1, "that one had run well"


def test_most_of_them_failing_at_once_freezes_and_unfreezes(world, sick):
    built(world, node("web", min=10), timeout=60.0)
    before = {r.node_id for r in records(world)}
    for record in records(world)[:9]:
        sick[record.address] = "no route"
    for _ in range(20):
        world.convergence().maintain()
        later(world, 10)
    assert {r.node_id for r in records(world)} == before
    assert kinds(world).count(EventKind.FROZEN) == 1
    assert world.store.infrastructure("infra").frozen
    sick.clear()
    world.convergence().maintain()
    assert kinds(world)[-1] is EventKind.UNFROZEN
    assert not world.store.infrastructure("infra").frozen


def test_a_single_pass_heals_a_bounded_share_at_a_time_until_all_are_healed(world, sick):
    """Failures that wait for the budget are no further failures of their node."""
    built(world, node("web", min=10), timeout=60.0)
    for record in records(world)[:5]:
        sick[record.address] = "x"
    world.convergence().maintain()
    later(world, 100)
    assert world.convergence().maintain() == Passed()
    healing, ready = EventKind.HEALING, EventKind.NODE_READY
    order = [kind for kind in kinds(world) if kind in (healing, ready)]
    assert order == [healing, healing, ready, ready, healing, healing, ready, ready, healing, ready]
    assert world.store.infrastructure("infra").setbacks["web"].count == 1
    assert all(record.condition is Condition.WELL for record in records(world))


def test_a_single_pass_goes_on_healing_while_deletions_take_their_time(world, sick):
    built(world, node("web", min=5), delete_seconds=25)
    for record in records(world)[:3]:
        world.cloud.change(record.instance_id, "stop")
    later(world, 100)
    began = world.clock.now()
    assert world.convergence().maintain() == Passed()
    assert kinds(world).count(EventKind.HEALING) == 3
    assert world.clock.now() - began < 2 * 25


def test_a_single_pass_says_what_it_leaves_to_a_back_off(world, sick):
    built(world, node("web", min=5))
    later(world, 100)
    for record in records(world)[:3]:
        world.cloud.change(record.instance_id, "stop")
    world.cloud.set_faults([{"kind": "permanent", "operation": "create", "reason": "no more"}])
    refused, left = world.convergence().maintain().undone
    assert refused == "node 'web' (memory memory): memory cloud: no more"
    said, seconds = left.removesuffix(" s").rsplit(" ", 1)
    assert said == "node 'web' keeps failing: 3 of 5 instances wait; occopus-maintain -i infra tries again after"
    assert 0 < int(seconds) <= 10, "the deletion has taken some of the ten seconds"
    assert kinds(world).count(EventKind.HEALING) == 1
    world.cloud.set_faults([])
    later(world, 10)
    assert world.convergence().maintain() == Passed()
    assert len(world.live()) == len(records(world)) == 5


def test_instances_that_fail_one_after_another_add_up(world, sick):
    built(world, node("web", min=3))
    for count, record in enumerate(records(world), 1):
        later(world, 100)
        world.cloud.change(record.instance_id, "stop")
        world.convergence().maintain()
        assert world.store.infrastructure("infra").setbacks["web"].count == count


def test_a_node_that_keeps_dying_is_tried_ever_more_seldom(world, sick):
    built(world, node("web"))
    heals = 0
    for _ in range(60):
        later(world, 10)
        if any(one["id"] == records(world)[0].instance_id for one in world.live()):
            world.cloud.change(records(world)[0].instance_id, "lose")
        world.convergence().maintain()
        heals = kinds(world).count(EventKind.HEALING)
    assert heals <= 9
    assert EventKind.HELD in kinds(world)


@pytest.mark.parametrize("how", ["ill", "lost"])
def test_what_fails_because_of_its_dependee_is_no_setback(world, sick, how):
    """Its dependents are replaced one by one, without growing waits."""
    world.define("web", "db", implementations=[{"checks": {"fake": True}, "timeout": 30.0}], boot_seconds=2)
    world.build(infrastructure(node("web", min=3), "db", edges=[("web", "db")]))
    world.events.clear()
    later(world, 20)
    before = {r.node_id for r in records(world)}
    (db,) = [r for r in records(world) if r.node_name == "db"]
    sick[db.address] = "no answer"
    if how == "ill":
        sick.update((r.address, "no database") for r in records(world) if r.node_name == "web")
    for number in range(14):
        later(world, 10)
        world.convergence().maintain()
        if how == "lost" and number == 6:
            for record in records(world):
                if record.node_name == "web":
                    world.cloud.change(record.instance_id, "stop")
    assert not before & {r.node_id for r in records(world)}
    assert EventKind.HELD not in kinds(world)
    assert world.store.infrastructure("infra").setbacks.keys() == {"db"}


def test_a_replacement_that_cannot_be_made_is_tried_again(world, sick):
    built(world, node("web", min=2))
    later(world, 60)
    world.cloud.set_faults([{"kind": "permanent", "operation": "create"}])
    world.cloud.change(records(world)[0].instance_id, "lose")
    world.convergence().maintain()
    assert EventKind.NODE_FAILED in kinds(world)
    assert len(records(world)) == 1
    world.cloud.set_faults([])
    later(world, 700)
    world.convergence().maintain()
    assert len(records(world)) == len(world.live()) == 2


def test_a_provider_that_is_away_changes_nothing(world, sick):
    built(world, node("web", min=2))
    before = records(world)
    world.cloud.set_faults([{"kind": "error_500", "operation": "describe"}])
    world.convergence().maintain()
    assert records(world) == before


def scale(world, kind, amount, instance=""):
    return world.store.request_scaling("infra", "web", kind, amount, instance, world.clock.now())


def test_scaling_up_and_down_within_the_limits(world, sick):
    built(world, node("web", min=1, max=4))
    first = records(world)[0]
    scale(world, ScaleKind.CHANGE, 2)
    scale(world, ScaleKind.CHANGE, 5)
    world.convergence().maintain()
    assert len(records(world)) == len(world.live()) == 4
    assert [e.text for e in world.events if e.kind is EventKind.SCALE_CLIPPED] == ["3 -> 4 (the maximum is 4)"]
    scale(world, ScaleKind.SET, 2)
    world.convergence().maintain()
    assert len(records(world)) == len(world.live()) == 2
    assert first.node_id in {r.node_id for r in records(world)}, "the youngest go"
    assert world.store.pending_requests("infra") == []


def test_a_named_instance_goes(world, sick):
    built(world, node("web", min=1, max=4))
    scale(world, ScaleKind.SET, 3)
    world.convergence().maintain()
    first, second, _third = records(world)
    scale(world, ScaleKind.CHANGE, -1, first.address)
    scale(world, ScaleKind.CHANGE, -1, second.node_id)
    scale(world, ScaleKind.CHANGE, -1, "192.0.2.99")
    world.convergence().maintain()
    assert not {first.node_id, second.node_id} & {r.node_id for r in records(world)}
    assert len(world.live()) == 1
    texts = [e.text for e in world.events if e.kind is EventKind.SCALE_REFUSED]
    assert texts == ["node 'web' has no instance '192.0.2.99'"]


def test_what_a_provider_would_not_say_is_answered_once_for_each_connection(world, sick):
    built(world, node("web", min=3), "db")
    assert world.convergence().maintain() == Passed()
    world.cloud.set_faults([{"kind": "auth"}])
    refused = "4 instances of nodes 'db', 'web' (memory memory): memory cloud: the credentials were refused"
    assert world.convergence().maintain() == Passed(unconfirmed=(refused,))
    world.cloud.set_faults([])
    assert world.convergence().maintain() == Passed()


def test_what_a_pass_could_not_make_is_answered(world, sick):
    built(world, node("web", min=1, max=2), "db")
    scale(world, ScaleKind.SET, 2)
    world.cloud.set_faults([{"kind": "permanent", "operation": "create", "reason": "no more"}])
    refused = Passed(undone=("node 'web' (memory memory): memory cloud: no more",))
    assert [world.convergence().maintain() for _ in range(2)] == [refused, refused]
    world.cloud.set_faults([])
    assert world.convergence().maintain() == Passed(
        undone=("node 'web' keeps failing: 1 of 2 instances wait; occopus-maintain -i infra tries again after 10 s",)
    )
    later(world, 10)
    assert world.convergence().maintain() == Passed()
    assert len(world.live()) == 3


def test_an_outage_in_which_nothing_is_healed_is_answered(world, sick):
    built(world, node("web", min=4))
    sick.update((record.address, "slow") for record in records(world))
    (undone,) = world.convergence().maintain().undone
    assert undone.startswith("4 of 4 instances fail at once: ")
    sick.clear()
    assert world.convergence().maintain() == Passed()


def test_a_definition_that_cannot_be_used_is_answered(world, sick):
    built(world, node("web", min=1, max=2))
    scale(world, ScaleKind.SET, 2)
    world.store.remove_definition("web")
    (undone,) = world.convergence().maintain().undone
    assert undone.startswith("waiting for a usable definition: ")


def test_a_deletion_that_is_not_confirmed_is_answered(world, sick):
    built(world, node("web", min=1, max=2))
    scale(world, ScaleKind.SET, 2)
    world.convergence().maintain()
    scale(world, ScaleKind.SET, 1)
    world.cloud.set_faults([{"kind": "permanent", "operation": "delete", "reason": "locked"}])
    assert world.convergence().maintain() == Passed(unconfirmed=("node 'web' (memory memory): memory cloud: locked",))
    world.cloud.set_faults([])
    assert world.convergence().maintain() == Passed()


def test_an_unwanted_infrastructure_is_destroyed(world, sick):
    built(world, node("web", min=2))
    world.store.request_destroy("infra")
    world.convergence().maintain()
    assert world.live() == []
    with pytest.raises(NoSuchInfrastructureError):
        world.store.infrastructure("infra")


def test_who_finds_it_taken_leaves_it_alone(world, sick):
    built(world, node("web"))
    assert world.store.acquire("infra", "process 7 on host", world.clock.now())
    end = world.clock.now() + LEASE_SECONDS
    later(world, 4.5)
    with pytest.raises(BusyError) as caught:
        world.convergence().maintain()
    assert str(caught.value) == (
        "process 7 on host is working on the infrastructure 'infra', or was killed: "
        f"its lease ends at {written(end)}, unless it renews it; repeat this in 11 s"
    )
    later(world, 11)
    world.convergence().maintain()


def test_an_interrupted_build_is_carried_on(world, sick):
    world.define("web", boot_seconds=2)
    world.store.release(
        world.store.add_infrastructure("infra", infrastructure(node("web", min=2)), {"web": 2}, "x", world.clock.now())
    )
    world.convergence().maintain()
    assert len(world.live()) == 2
    assert world.store.infrastructure("infra").candidate is None
