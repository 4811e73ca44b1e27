"""What is cared for while those who could say how it fares do not answer, or nobody knows how to make another."""

from __future__ import annotations

import itertools
from typing import ClassVar

import pytest

from occopus_core.api import HealthChecker, Instance, InstanceState, Owner, Verdict
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import Passed
from occopus_core.engine.passes.maintaining import maintain
from occopus_core.events import EventKind
from occopus_core.store.records import Condition, ScaleKind, Stage

from ..conftest import infrastructure, node


class Doctor(HealthChecker):
    """Finds sick who is said to be, by address; raises while it is told to."""

    sick: ClassVar[dict[str, str]]
    broken: ClassVar[list[str]]

    @classmethod
    def schema(cls):
        return {}

    def check(self, probes):
        if self.broken:
            raise OSError(self.broken[0])
        return [Verdict(probe.address not in self.sick, self.sick.get(probe.address, "")) for probe in probes]


@pytest.fixture
def doctor(world):
    return world.install("health", "fake", type("Doctor", (Doctor,), {"sick": {}, "broken": []}))


class Maintainer:
    """One process: its passes remember what they have told."""

    def __init__(self, world):
        self.world = world
        self.context = PassContext(world.resources(), "infra")

    def passes(self, seconds, every=10.0):
        """Maintain for so long."""
        for _ in range(int(seconds / every)):
            self.context.begin_anew()
            self.context.resources.loop.run(self.context.attended(maintain(self.context)))
            self.world.clock.time += every


@pytest.fixture
def maintainer(world):
    return Maintainer(world)


def built(world, *nodes, checks=True, **resource):
    ways = [{"checks": {"fake": True} if checks else {}, "timeout": 60.0}]
    world.define("web", "db", implementations=ways, **resource)
    world.build(infrastructure(*nodes))
    world.clock.time += 60
    world.events.clear()


def records(world):
    return world.store.instances("infra")


def ids(world):
    return {record.node_id for record in records(world)}


def kinds(world):
    return [event.kind for event in world.events]


def test_a_checker_that_fails_says_nothing_of_the_nodes(world, doctor, maintainer):
    built(world, node("web", min=2))
    before = ids(world)
    doctor.broken.append("too many open files")
    maintainer.passes(600)
    assert ids(world) == before
    assert {record.condition for record in records(world)} == {Condition.UNKNOWN}
    assert {record.unhealthy_since for record in records(world)} == {None}
    told = [event.text for event in world.events]
    (text,) = told  # once
    assert text.startswith(
        "for a health checker: the health checker 'fake' breaks its contract: check() raised OSError ("
    )
    doctor.broken.clear()
    maintainer.passes(20)
    assert {record.condition for record in records(world)} == {Condition.WELL}
    doctor.broken.append("too many open files")
    maintainer.passes(20)
    assert len(world.events) == 2, "again, when it begins again"


def test_a_checker_that_fails_is_answered(world, doctor):
    built(world, node("web", min=2))
    doctor.broken.append("too many open files")
    (unconfirmed,) = world.convergence().maintain().unconfirmed
    said = "the health checker 'fake' breaks its contract: check() raised OSError ("
    assert unconfirmed.startswith(f"2 instances of node 'web' (memory memory): {said}")
    doctor.broken.clear()
    assert world.convergence().maintain() == Passed()


def test_what_nobody_could_see_does_not_count(world, doctor, maintainer):
    """Ill for 30 s, out of sight for an hour, ill again for 20 s: that is not longer than 60 s."""
    built(world, node("web", min=2))
    before = ids(world)
    doctor.sick[records(world)[0].address] = "port 80 refused"
    maintainer.passes(30)
    doctor.broken.append("no")
    maintainer.passes(600)
    doctor.broken.clear()
    maintainer.passes(20)
    assert ids(world) == before
    maintainer.passes(60)
    assert len(before - ids(world)) == 1, "and then it is replaced"


def test_an_outage_goes_on_while_nobody_can_say(world, doctor, maintainer):
    built(world, node("web", min=10))
    before = ids(world)
    doctor.sick.update(dict.fromkeys([record.address for record in records(world)[:9]], "no route"))
    maintainer.passes(20)
    assert kinds(world).count(EventKind.FROZEN) == 1
    doctor.broken.append("too many open files")
    maintainer.passes(100)
    assert EventKind.UNFROZEN not in kinds(world)
    doctor.broken.clear()
    maintainer.passes(20)
    assert kinds(world).count(EventKind.FROZEN) == 1
    doctor.sick.clear()
    maintainer.passes(20)
    assert kinds(world)[-1] is EventKind.UNFROZEN
    assert ids(world) == before


def test_ninety_of_a_hundred_missing_are_replaced_share_by_share(world, maintainer):
    """The provider's answer has the other ten: it is not away."""
    built(world, node("web", min=100, max=200), checks=False)
    for one in sorted(world.live(), key=lambda one: one["id"])[:90]:
        world.cloud.change(one["id"], "stop")
    maintainer.passes(10)
    order = [kind for kind in kinds(world) if kind in (EventKind.HEALING, EventKind.NODE_READY)]
    shares = [(kind, len(list(together))) for kind, together in itertools.groupby(order)]
    assert shares == [
        (kind, 20 if n < 4 else 10) for n in range(5) for kind in (EventKind.HEALING, EventKind.NODE_READY)
    ]
    assert EventKind.FROZEN not in kinds(world)
    assert len(world.live()) == len(records(world)) == 100


@pytest.fixture
def blind(world):
    """While this has an entry, the provider answers so for all of its instances."""
    blind = []

    class Handler(world.handler):
        def describe(self, ids):
            found = super().describe(ids)
            return {id: Instance(id, InstanceState.ABSENT, **blind[0]) for id in ids} if blind else found

    world.install("resource", "memory", Handler)
    return blind


@pytest.mark.parametrize("raw_state", ["", "removed"])
def test_a_provider_whose_whole_list_is_missing_is_left_alone_until_it_is_there_again(
    world, maintainer, blind, raw_state
):
    """Also one that never misses an instance: its disk may be another one."""
    maintainer.context = PassContext(world.resources(), "infra")
    built(world, node("web", min=8), checks=False)
    before = sorted(world.live(), key=lambda one: one["id"])
    calls = world.calls("create"), world.calls("delete")
    blind.append({"raw_state": raw_state})
    maintainer.passes(600)
    assert (world.calls("create"), world.calls("delete")) == calls
    (frozen,) = (event for event in world.events if event.kind is EventKind.FROZEN)
    assert frozen.text.startswith("all 8 instances on memory memory are missing at once: ")
    assert "all 8 instances" in world.store.infrastructure("infra").frozen
    blind.clear()
    maintainer.passes(20)
    assert (world.calls("create"), world.calls("delete")) == calls
    assert sorted(world.live(), key=lambda one: one["id"]) == before
    assert [kinds(world).count(kind) for kind in (EventKind.FROZEN, EventKind.UNFROZEN)] == [1, 1]


def test_what_a_provider_itself_reports_as_gone_is_no_outage(world, maintainer, blind):
    maintainer.context = PassContext(world.resources(), "infra")
    built(world, node("web", min=8), checks=False)
    blind.append({"raw_state": "terminated", "owner": Owner("here", "infra", "web")})
    maintainer.passes(10)
    assert EventKind.HEALING in kinds(world)
    assert EventKind.FROZEN not in kinds(world)


def test_a_build_is_obeyed_in_a_freeze(world, doctor, maintainer):
    built(world, node("web", min=4))
    before = ids(world)
    doctor.sick.update(dict.fromkeys([record.address for record in records(world)[:3]], "no route"))
    maintainer.passes(100)
    assert world.store.infrastructure("infra").frozen
    assert ids(world) == before
    world.build(infrastructure(node("web", min=4)))
    assert len(ids(world) & before) == 1
    assert len(records(world)) == len(world.live()) == 4
    assert not world.store.infrastructure("infra").frozen
    assert kinds(world).count(EventKind.UNFROZEN) == 1


def test_a_sick_instance_that_is_named_goes_in_a_freeze_even_where_fewer_are_not_allowed(world, doctor, maintainer):
    built(world, node("web", min=4))
    sick = records(world)[:3]
    doctor.sick.update(dict.fromkeys([record.address for record in sick], "no route"))
    maintainer.passes(100)
    world.store.request_scaling("infra", "web", ScaleKind.CHANGE, -1, sick[1].address, world.clock.now())
    maintainer.passes(10)
    assert ids(world) & {record.node_id for record in sick} == {sick[0].node_id, sick[2].node_id}
    assert len(records(world)) == len(world.live()) == 4


def test_what_is_lost_meanwhile_stays_until_it_can_be_made_anew(world, doctor, maintainer):
    """A sick node is better than none while its definition cannot be used."""
    built(world, node("web", min=2))
    definitions = world.store.definitions(["web"])
    world.define("web", implementations=[{"checks": {"fake": True}, "resource": {"image": "{{ nobody }}"}}])
    doctor.sick[records(world)[0].address] = "slow"
    before = ids(world)
    maintainer.passes(300)
    assert ids(world) == before
    assert kinds(world).count(EventKind.WAITING) == 1
    assert "nobody" in next(event.text for event in world.events if event.kind is EventKind.WAITING)
    assert EventKind.HEALING not in kinds(world)
    world.store.put_definitions(list(definitions.values()))
    maintainer.passes(20)
    assert len(ids(world) & before) == 1
    assert len(records(world)) == 2


def test_scaling_down_goes_on_while_the_definition_cannot_be_used(world, maintainer):
    built(world, node("web", min=1, max=5), checks=False)
    world.store.request_scaling("infra", "web", ScaleKind.SET, 3, "", world.clock.now())
    maintainer.passes(10)
    world.define("web", image="{{ nobody }}")
    world.store.request_scaling("infra", "web", ScaleKind.SET, 1, "", world.clock.now())
    maintainer.passes(10)
    assert len(records(world)) == len(world.live()) == 1


def test_of_those_that_are_to_be_fewer_the_sick_go_first(world, doctor, maintainer):
    built(world, node("web", min=1, max=5))
    world.store.request_scaling("infra", "web", ScaleKind.SET, 4, "", world.clock.now())
    maintainer.passes(10)
    oldest = min(records(world), key=lambda record: record.created_at)
    doctor.sick[oldest.address] = "slow"
    maintainer.passes(10)
    world.store.request_scaling("infra", "web", ScaleKind.CHANGE, -1, "", world.clock.now())
    maintainer.passes(10)
    assert oldest.node_id not in ids(world)
    assert {record.stage for record in records(world)} == {Stage.READY}
    assert len(records(world)) == 3


@pytest.mark.parametrize("state", ["provisioning", "pending"])
@pytest.mark.parametrize("count", [1, 5])
def test_what_stays_half_started_at_its_provider_is_replaced_after_its_time(world, state, count):
    """Also where all are: the provider itself says so, and they had their whole time."""
    world.define("web", implementations=[{"timeout": 60.0}])
    world.build(infrastructure(node("web", min=count)))
    before = {record.instance_id for record in world.store.instances("infra")}
    for id in before:
        world.cloud.change(id, "set", state=state)
    convergence = world.convergence()
    for _ in range(12 * count):
        world.clock.time += 10
        convergence.maintain()
    world.assert_runs({"web": count})
    assert before.isdisjoint(record.instance_id for record in world.store.instances("infra"))
