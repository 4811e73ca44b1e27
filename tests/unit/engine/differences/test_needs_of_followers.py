"""A replacement of a node makes what the nodes that depend on it need to be changed with it."""

from __future__ import annotations

import pytest

from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind

from ..configured import Managers
from ..conftest import infrastructure, node, userdata
from ..fakes import config_manager

EDGES = [("app", "db"), ("app", "cache")]
SHOP = infrastructure("db", "cache", "app", edges=EDGES)


def rows(world, name):
    return [one for one in world.store.instances("infra") if one.node_name == name]


def ask(world, name, kind=ScaleKind.REPLACE, amount=0):
    world.store.request_scaling("infra", name, kind, amount, "", world.clock.now())


def build(world):
    world.build(SHOP)
    world.clock.time += 3600
    world.events.clear()


def lose(world, name):
    world.cloud.change(rows(world, name)[0].instance_id, "lose")


def lose_for_good(world, name):
    """The instance is lost, and its provider had no room for another one."""
    lose(world, name)
    world.cloud.set_faults([{"kind": "quota", "operation": "create"}])
    world.convergence().maintain()
    assert not rows(world, name)
    world.cloud.set_faults([])
    world.events.clear()


@pytest.fixture
def managed(world):
    """The manager of app can change a running instance."""
    world.define("db", "cache")
    Managers(world).define("app", cache="{{ getip('cache') }}", db="{{ getip('db') }}")
    build(world)
    return world


@pytest.fixture
def fixed(world):
    """The manager of app cannot change a running instance."""
    manager = config_manager()
    manager.live = False
    world.install("config", "fake", manager)
    world.define("db", "cache")
    section = {"type": "fake", "endpoint": "chef", "cache": "{{ getip('cache') }}"}
    way = {"config": section, "contextualisation": userdata("db: {{ getip('db') }}")}
    world.define("app", implementations=[way])
    build(world)
    return world


def test_one_that_cannot_be_configured_without_a_missing_node_gets_that_node(managed):
    lose_for_good(managed, "db")
    plan = managed.convergence().plan(SHOP, replaced=["cache"])
    assert [(step.node_name, step.verb) for step in plan.steps] == [
        ("db", Verb.CREATE),
        ("cache", Verb.REPLACE),
        ("app", Verb.RECONFIGURE),
    ]
    (before,) = rows(managed, "app")
    managed.convergence().build(SHOP, replaced=["cache"])
    (app,) = rows(managed, "app")
    assert app.node_id == before.node_id
    (record,) = managed.store.configurations.of("infra")
    assert record.section["cache"] == rows(managed, "cache")[0].address
    assert record.section["db"] == rows(managed, "db")[0].address


def test_a_missing_node_that_no_changed_one_needs_is_left_to_maintenance(world):
    world.define("db", "cache")
    Managers(world).define("app", db="{{ getip('db') }}")
    shop = infrastructure("db", "cache", "app", edges=[("app", "db")])
    world.build(shop)
    world.clock.time += 3600
    lose_for_good(world, "db")
    world.convergence().build(shop, replaced=["cache"])
    assert not rows(world, "db")


def test_a_replacement_is_refused_where_a_follower_would_keep_the_former_address(managed):
    """Its configuration needs a node that was scaled to 0."""
    shop = infrastructure(node("db", min=0, max=1), "cache", "app", edges=EDGES)
    managed.build(shop)
    ask(managed, "db", ScaleKind.SET, 0)
    managed.convergence().maintain()
    assert not rows(managed, "db")
    before = {one.node_id for one in managed.store.instances("infra")}
    with pytest.raises(InvalidDesignError, match=r"node 'app': its configuration cannot be rendered: .*'db'"):
        managed.convergence().build(shop, replaced=["cache"])
    ask(managed, "cache")
    managed.convergence().maintain()
    assert managed.told(EventKind.REPLACEMENT_REFUSED) == ["cache"]
    assert {one.node_id for one in managed.store.instances("infra")} == before


def test_one_that_is_replaced_too_gets_a_missing_node_first(fixed):
    lose_for_good(fixed, "db")
    ask(fixed, "cache")
    fixed.convergence().maintain()
    fixed.assert_runs({"db": 1, "cache": 1, "app": 1})
    assert not fixed.told(EventKind.REPLACEMENT_REFUSED)


def test_one_that_is_replaced_too_is_not_made_with_the_address_of_a_lost_node(fixed):
    lose(fixed, "db")
    ask(fixed, "cache")
    fixed.convergence().maintain()
    events = [(one.kind, one.node_name) for one in fixed.events]
    assert events.index((EventKind.NODE_READY, "db")) < events.index((EventKind.NODE_CREATING, "app"))
    fixed.assert_runs({"db": 1, "cache": 1, "app": 1})
