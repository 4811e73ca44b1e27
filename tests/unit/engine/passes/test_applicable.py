"""After a kill, what a build has made is judged by the description of the build, all else by the one in force."""

import itertools

import pytest

from occopus_core.api import Verdict
from occopus_core.engine.planning.plan import RECHECKED, Verb
from occopus_core.events import EventKind
from occopus_core.store.records import Stage
from occopus_core.testing.simcloud.inventory import digest

from ..conftest import infrastructure, node, userdata
from ..fakes import die, health_checker

TIMEOUT = 15.0


def described(port):
    return infrastructure(node("db", port=port), node("app", min=2, port=port), edges=[("app", "db")])


OLD, NEW = described(5555), described(6666)


@pytest.fixture
def shop(world):
    """A database and two apps, each well by the check of the port that it was made with alone."""

    def answer(probe):
        (found,) = [one for one in world.cloud.inventory() if probe.address in one["addresses"]]
        return Verdict(found["order"]["user_data"] == digest(probe.value), "refused")

    world.install("health", "port", health_checker(answer))
    way = {"contextualisation": userdata("{{ variables.port }}"), "timeout": TIMEOUT}
    world.define("db", "app", implementations=[{**way, "checks": {"port": "{{ variables.port }}"}}], boot_seconds=5)
    return world


def test_an_update_that_is_killed_twice_and_maintained_makes_everything_once(shop):
    for at in itertools.count(1):
        infra_id = f"infra{at}"
        shop.build(OLD, infra_id=infra_id)
        shop.events.clear()
        killed = die(shop, at, lambda life, id=infra_id: shop.build(NEW, infra_id=id, life=life))
        die(shop, 3, lambda life, id=infra_id: shop.build(NEW, infra_id=id, life=life))
        shop.convergence(infra_id).maintain()
        shop.assert_runs({"db": 1, "app": 2}, infra_id)
        assert len({one.node_id for one in shop.events if one.kind is EventKind.NODE_CREATING}) == 3
        assert shop.told(EventKind.NODE_UNHEALTHY) == []
        if not killed:
            assert at > 3, "it was never killed"
            return


def first_ready(world):
    """Kill an update as soon as its database is ready."""
    for at in itertools.count(1):
        infra_id = f"infra{at}"
        world.build(OLD, infra_id=infra_id)
        die(world, at, lambda life, id=infra_id: world.build(NEW, infra_id=id, life=life))
        if any(one.provisional and one.stage is Stage.READY for one in world.store.instances(infra_id)):
            break
    return infra_id


def test_an_instance_of_a_killed_update_that_fails_its_own_check_is_replaced(shop):
    infra_id = first_ready(shop)
    (made,) = [one for one in shop.store.instances(infra_id) if one.provisional and one.node_name == "db"]
    shop.cloud.change(made.instance_id, "lose")
    shop.build(NEW, infra_id=infra_id)
    shop.assert_runs({"db": 1, "app": 2}, infra_id)
    assert made.node_id not in {one.node_id for one in shop.store.instances(infra_id)}


def test_the_preview_after_a_kill_keeps_what_is_well(shop):
    infra_id = first_ready(shop)
    (made,) = [one.node_id for one in shop.store.instances(infra_id) if one.provisional and one.node_name == "db"]
    for _ in range(2):
        (step,) = [one for one in shop.convergence(infra_id).preview().steps if one.node_id == made]
        assert step.verb is Verb.KEEP
        assert step.reason != RECHECKED, "it was proved by this check when it was made"
        shop.clock.time += TIMEOUT + 1
