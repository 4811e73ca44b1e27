"""Nodes with ``when_outdated: replace``: an instance is replaced where addresses change with which it was made."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from occopus_core.descriptions.model import Scaling
from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind
from occopus_core.testing.simcloud.inventory import digest

from ..conftest import infrastructure, node, userdata
from ..fakes import KilledError, Life

CHANGING = "its configuration was made with addresses of {}, which change"
LATER = "its configuration was made before other instances of web, without their addresses"


def following(name, instances=1, **more):
    made = dataclasses.replace(node(name, max=9, **more), when_outdated="replace")
    return dataclasses.replace(made, scaling=Scaling(instances, 9))


def described(version=1, web=1, proxies=1, edge="edge", **proxy):
    return infrastructure(
        node("web", min=web, max=9, version=version),
        following("proxy", proxies, **proxy),
        following("edge") if edge == "edge" else edge,
        edges=[("proxy", "web"), ("edge", "proxy")],
    )


@pytest.fixture
def define(world):
    """Defines the nodes, each made with the addresses of its dependee; the proxies with those of all web nodes."""

    def made(proxy="to {{ getipall('web')|join(' ') }}", **resource):
        web = userdata("version {{ variables.version }}")
        world.define("web", implementations=[{"contextualisation": web}], boot_seconds=2)
        world.define("proxy", implementations=[{"contextualisation": userdata(proxy)}], boot_seconds=2, **resource)
        edge = userdata("to {{ getip('proxy') }}")
        world.define("edge", implementations=[{"contextualisation": edge}], boot_seconds=2)
        return world

    return made


@pytest.fixture
def built(define):
    world = define()
    world.build(described())
    return settled(world)


def settled(world):
    world.clock.time += 600
    world.events.clear()
    return world


def rows(world, name, infra_id="infra"):
    return [row for row in world.store.instances(infra_id) if row.node_name == name]


def ids(world, *names, infra_id="infra"):
    return {row.node_id for name in names for row in rows(world, name, infra_id)}


def assert_follows(world, infra_id="infra"):
    """Every instance was made with the addresses that the instances of its dependee have now."""
    for name, dependee in (("proxy", "web"), ("edge", "proxy")):
        found = sorted(rows(world, dependee, infra_id), key=lambda row: row.position)
        made = digest(f"to {' '.join(row.address for row in found)}")
        machines = [one for one in world.live(infra_id) if one["owner"]["node_name"] == name]
        assert [one["order"]["user_data"] for one in machines] == [made] * len(machines)
    assert {row.outdated for row in world.store.instances(infra_id)} == {()}


def lose(world, name, infra_id="infra"):
    world.cloud.change(rows(world, name, infra_id)[0].instance_id, "lose")
    world.clock.time += 600


def steps(plan, name):
    return [(step.verb, step.reason) for step in plan.steps if step.node_name == name]


def moments(world):
    return [(one.kind, one.node_name) for one in world.events]


# Builds


def test_a_build_replaces_in_order_all_that_addresses_outdate_directly_or_not(built):
    before = ids(built, "web", "proxy", "edge")
    plan = built.convergence().plan(described(2))
    assert steps(plan, "proxy") == [(Verb.REPLACE, CHANGING.format("web"))]
    assert steps(plan, "edge") == [(Verb.REPLACE, CHANGING.format("proxy"))]
    built.build(described(2))
    assert_follows(built)
    assert not before & ids(built, "web", "proxy", "edge")
    seen = [one for one in moments(built) if one[0] in (EventKind.NODE_READY, EventKind.NODE_DROPPING)]
    names = ["web", "proxy", "edge"]
    assert seen == [
        *((EventKind.NODE_READY, name) for name in names),
        *((EventKind.NODE_DROPPING, name) for name in reversed(names)),
    ]
    assert built.told(EventKind.NODE_OUTDATED) == []
    assert built.convergence().plan(described(2)).empty


def test_a_node_that_is_made_the_same_stays(define):
    world = define("{{ 'any' if getip('web') else 'none' }}")
    world.build(described())
    before = ids(settled(world), "proxy", "edge")
    world.build(described(2))
    assert ids(world, "proxy", "edge") == before


def test_a_node_that_discovers_others_stays(define):
    world, trial = define(), described()
    proxy = dataclasses.replace(trial.nodes[1], discovers=True)
    world.build(dataclasses.replace(trial, nodes=(trial.nodes[0], proxy, trial.nodes[2])))
    before = ids(settled(world), "proxy", "edge")
    trial = described(2)
    world.build(dataclasses.replace(trial, nodes=(trial.nodes[0], proxy, trial.nodes[2])))
    assert ids(world, "proxy", "edge") == before


def test_a_build_with_the_new_key_replaces_what_is_outdated_already(define):
    world, trial = define(), described()
    keeping = tuple(dataclasses.replace(one, when_outdated="keep") for one in trial.nodes)
    world.build(dataclasses.replace(trial, nodes=keeping))
    lose(settled(world), "web")
    world.convergence().maintain()
    assert [row.outdated for row in rows(world, "proxy")] == [("web",)]
    assert steps(world.convergence().plan(trial), "proxy") == [(Verb.REPLACE, LATER)]
    world.build(trial)
    assert_follows(world)


def test_all_instances_of_a_node_are_replaced(define):
    world = define()
    world.build(described(proxies=3, edge="edge"))
    before = ids(settled(world), "proxy")
    world.build(described(2, proxies=3))
    assert len(ids(world, "proxy") - before) == 3
    assert {row.outdated for row in world.store.instances("infra")} == {()}


def test_a_requested_replacement_leaves_them_to_maintenance(built):
    plan = built.convergence().plan(described(), replaced=["web"])
    (step,) = [one for one in plan.steps if one.node_name == "proxy"]
    assert (step.verb, step.hold) == (Verb.WAIT, Hold.REPLACEMENT)
    built.convergence().build(described(), replaced=["web"])
    assert [row.outdated for row in rows(built, "proxy")] == [("web",)]
    built.convergence().maintain()
    assert_follows(built)


def test_what_one_instance_holds_alone_is_free_before_the_next_is_made(define):
    world = define(port="8000")
    world.build(described())
    settled(world).build(described(2))
    assert_follows(world)
    seen = [kind for kind, name in moments(world) if name == "proxy"]
    assert seen.index(EventKind.NODE_DROPPED) < seen.index(EventKind.NODE_CREATING)
    lose(settled(world), "web")
    world.convergence().maintain()
    assert_follows(world)


@pytest.mark.parametrize("proxy", ["to {{ getip('web') }}", "to {{ getipall('web')|join(' ') }}"])
def test_a_build_that_is_killed_anywhere_and_continued_replaces_each_once(define, proxy):
    for at in itertools.count(1):
        world, infra_id = define(proxy), f"infra{at}"
        world.build(described(), infra_id=infra_id)
        before = ids(settled(world), "web", "proxy", "edge", infra_id=infra_id)
        life = Life("after commit", at)
        try:
            world.convergence(infra_id, life=life).build(described(2))
        except KilledError:
            world.clock.time += 60
            world.convergence(infra_id).build(described(2))
        assert_follows(world, infra_id)
        world.assert_runs({"web": 1, "proxy": 1, "edge": 1}, infra_id)
        assert not before & ids(world, "web", "proxy", "edge", infra_id=infra_id)
        events = [one for one in world.store.events(infra_id) if one.kind == EventKind.NODE_CREATING.value]
        assert len({one.node_id for one in events}) == 6, "each is made once, and once again"
        if not life.over:
            assert at > 3, "it was never killed"
            return


# Maintenance


def test_maintenance_replaces_what_a_replacement_outdates_in_one_pass_and_counts_no_failure(built):
    lose(built, "web")
    plan = built.convergence().preview()
    assert steps(plan, "proxy") == [(Verb.KEEP, f"{CHANGING.format('web')}: maintenance replaces it then")]
    built.convergence().maintain()
    assert_follows(built)
    assert {*built.store.infrastructure("infra").setbacks} <= {"web"}
    assert built.told(EventKind.HEALING) == ["web", "proxy", "edge"]
    created = len(built.told(EventKind.NODE_CREATING))
    for _ in range(3):
        built.clock.time += 600
        built.convergence().maintain()
    assert len(built.told(EventKind.NODE_CREATING)) == created, "it is replaced once"


def test_maintenance_replaces_what_scaling_outdates(built):
    before = ids(built, "proxy")
    built.store.request_scaling("infra", "web", ScaleKind.CHANGE, 1, "", built.clock.now())
    built.convergence().maintain()
    assert not before & ids(built, "proxy")
    assert_follows(built)


@pytest.fixture
def many(define):
    """Three outdated proxies, which maintenance is to replace."""
    world = define()
    world.build(described(proxies=3))
    settled(world).convergence().build(described(proxies=3), replaced=["web"])
    assert [row.outdated for row in rows(world, "proxy")] == [("web",)] * 3
    return settled(world)


def test_maintenance_replaces_one_after_the_other(many):
    plan = many.convergence().preview()
    found = [(step.verb, step.hold) for step in plan.steps if step.node_name == "proxy"]
    assert sorted(found, key=str) == sorted([(Verb.REPLACE, None), *[(Verb.WAIT, Hold.BUDGET)] * 2], key=str)
    assert steps(plan, "edge")[0][0] is Verb.KEEP
    many.convergence().maintain()
    assert {row.outdated for row in many.store.instances("infra")} == {()}
    seen = [kind for kind, name in moments(many) if name == "proxy"]
    made = [kind for kind in seen if kind in (EventKind.NODE_CREATING, EventKind.NODE_READY)]
    assert made == [EventKind.NODE_CREATING, EventKind.NODE_READY] * 3
    assert many.told(EventKind.NODE_CREATING).count("edge") == 1, "when all proxies have been replaced"


def test_maintenance_waits_while_a_dependee_is_to_be_replaced(many):
    lose(many, "web")
    assert {verb for verb, _ in steps(many.convergence().preview(), "proxy")} == {Verb.KEEP}


def test_a_pass_without_a_lease_does_not_take_it_for_quiet(many):
    convergence = many.convergence()
    convergence.maintain()
    assert convergence.context.known is None
    assert {row.outdated for row in many.store.instances("infra")} == {()}


def test_maintenance_that_is_killed_anywhere_goes_on(define):
    for at in itertools.count(1):
        world, infra_id = define(), f"infra{at}"
        world.build(described(), infra_id=infra_id)
        lose(settled(world), "web", infra_id)
        life = Life("after commit", at)
        try:
            world.convergence(infra_id, life=life).maintain()
        except KilledError:
            for _ in range(3):
                world.clock.time += 60
                world.convergence(infra_id).maintain()
        assert_follows(world, infra_id)
        world.assert_runs({"web": 1, "proxy": 1, "edge": 1}, infra_id)
        if not life.over:
            assert at > 3, "it was never killed"
            return
