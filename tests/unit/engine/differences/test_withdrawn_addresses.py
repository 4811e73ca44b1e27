"""An instance that is not ready yet is made again where an address that it was made with goes away."""

import itertools

import pytest

from occopus_core.engine.planning.plan import Verb
from occopus_core.store.records import Stage
from occopus_core.testing.simcloud.inventory import digest

from ..conftest import infrastructure, node, userdata
from ..fakes import die

REASON = "it is not ready yet, and was made with addresses of db that others take the place of"


def described(port, app=2):
    return infrastructure(node("db", port=port), node("app", min=app, max=9, port=port), edges=[("app", "db")])


@pytest.fixture
def shop(world):
    """Apps whose user data has the address of the database."""
    world.handler.poll_seconds = (1.0, 5.0)
    port = "{{ variables.port }}"
    world.define("db", implementations=[{"contextualisation": userdata(port)}], boot_seconds=1)
    way = {"contextualisation": userdata("{{ getip('db') }} " + port)}
    world.define("app", implementations=[way], boot_seconds=30)
    return world


def rows(world, infra_id, name, **values):
    found = [one for one in world.store.instances(infra_id) if one.node_name == name]
    return [one for one in found if all(getattr(one, key) == value for key, value in values.items())]


def unfinished(world):
    """An update that was killed while its apps boot: the id, the row of its database, and those of its apps."""
    for at in itertools.count(1):
        infra_id = f"begun{at}"
        world.build(described(1), infra_id=infra_id)
        die(world, at, lambda life, id=infra_id: world.build(described(2), infra_id=id, life=life))
        apps = rows(world, infra_id, "app", provisional=True, stage=Stage.BOOTING)
        if len(apps) == 2:
            break
    (db,) = rows(world, infra_id, "db", provisional=True)
    return infra_id, db, apps


def assert_addressed(world, infra_id):
    """Each app was made with the address of the database that there is."""
    (db,) = rows(world, infra_id, "db")
    orders = [one["order"]["user_data"] for one in world.live(infra_id) if one["owner"]["node_name"] == "app"]
    assert orders == [digest(f"{db.address} 2")] * 2


def test_a_continued_update_makes_apps_again_whose_database_it_replaces(shop):
    infra_id, db, apps = unfinished(shop)
    shop.cloud.change(db.instance_id, "lose")
    steps = shop.convergence(infra_id).plan(described(2)).steps
    ids = {one.node_id for one in apps}
    assert [one.reason for one in steps if one.node_id in ids] == [REASON] * 2
    assert sum(one.verb is Verb.REPLACE for one in steps if one.node_name == "app") == 2
    shop.build(described(2), infra_id=infra_id)
    shop.assert_runs({"db": 1, "app": 2}, infra_id)
    assert_addressed(shop, infra_id)


def test_a_continued_update_makes_nothing_again_where_no_address_goes(shop):
    infra_id, db, apps = unfinished(shop)
    shop.build(described(2), infra_id=infra_id)
    kept = {one.node_id for one in (db, *apps)}
    assert {one.node_id for one in shop.store.instances(infra_id)} == kept
    assert_addressed(shop, infra_id)


def test_a_row_keeps_what_its_instance_was_made_with(shop):
    for at in itertools.count(1):
        infra_id = f"first{at}"
        die(shop, at, lambda life, id=infra_id: shop.build(described(2), infra_id=id, life=life))
        apps = rows(shop, infra_id, "app", stage=Stage.BOOTING)
        if len(apps) == 2:
            break
    for one in apps:
        shop.rewrite(one, rendered="by the killed process")
    shop.build(described(2), infra_id=infra_id)
    made = {one.node_id: one.rendered for one in rows(shop, infra_id, "app")}
    assert made == {one.node_id: "by the killed process" for one in apps}


@pytest.mark.parametrize("last", ["build", "maintain"])
def test_an_update_that_is_killed_again_leaves_no_app_with_the_address_of_what_is_gone(shop, last):
    for at in itertools.count(1):
        infra_id, db, _ = unfinished(shop)
        shop.cloud.change(db.instance_id, "lose")
        killed = die(shop, at, lambda life, id=infra_id: shop.build(described(2), infra_id=id, life=life))
        if last == "build":
            shop.build(described(2), infra_id=infra_id)
        else:
            shop.convergence(infra_id).maintain()
        shop.assert_runs({"db": 1, "app": 2}, infra_id)
        assert_addressed(shop, infra_id)
        shop.destroy(infra_id=infra_id)
        if not killed:
            assert at > 3, "it was never killed"
            return


def test_maintenance_that_continues_makes_apps_again_whose_database_has_gone(shop):
    infra_id = "infra"
    shop.build(described(2), infra_id=infra_id)
    shop.clock.time += 600
    for app in rows(shop, infra_id, "app"):
        shop.cloud.change(app.instance_id, "lose")
    for at in itertools.count(1):
        die(shop, at, lambda life: shop.convergence(infra_id, life=life).maintain())
        if rows(shop, infra_id, "app", stage=Stage.BOOTING):
            break
    (db,) = rows(shop, infra_id, "db")
    shop.cloud.change(db.instance_id, "lose")
    for _ in range(3):
        shop.clock.time += 60
        shop.convergence(infra_id).maintain()
    shop.assert_runs({"db": 1, "app": 2}, infra_id)
    assert_addressed(shop, infra_id)
