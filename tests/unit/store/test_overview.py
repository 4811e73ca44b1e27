"""Summaries of all infrastructures."""

from __future__ import annotations

import dataclasses

import pytest

from occopus_core.descriptions.model import NodeDescription, Scaling
from occopus_core.events import Event, EventKind
from occopus_core.store import tables
from occopus_core.store.listing import list_infrastructures
from occopus_core.store.overview import Glimpse
from occopus_core.store.records import Condition, InfrastructureState, Stage

from .builders import add_instances, infrastructure, record


def test_names_states_and_counts(store):
    lease = store.add_infrastructure("i", infrastructure("shop"), {"db": 1, "web": 2}, "me", 100.0, maintained=True)
    store.add_infrastructure("j", infrastructure("blog"), {"db": 1}, "me", 99.0)
    ailing = record("n-3", stage=Stage.READY, condition=Condition.AILING, outdated=("db",))
    add_instances(store, lease, record("n-1", stage=Stage.READY), record("n-2", stage=Stage.READY), ailing)
    store.request_destroy("j")
    well = (Stage.READY, Condition.WELL)
    counts = {well: 2, (Stage.READY, Condition.AILING): 1}
    shop = Glimpse("i", "shop", InfrastructureState.BUILDING, True, "", 100.0, 3, counts, outdated=1)
    blog = Glimpse("j", "blog", InfrastructureState.DROPPING, False, "", 99.0, 1, {})
    assert store.overview.all() == [blog, shop]
    assert [store.overview.one(infra_id) for infra_id in "ijk"] == [shop, blog, None]


def test_the_state_is_that_of_the_record(store):
    lease = store.add_infrastructure("i", infrastructure(), {}, "me", 100.0)
    with store.changing(lease) as change:
        change.finish_build(infrastructure(), {})
    assert store.overview.one("i").state is store.infrastructure("i").state is InfrastructureState.READY


def test_the_wanted_instances_are_those_of_an_update_under_way(store, store_url):
    lease = store.add_infrastructure("i", infrastructure(), {"db": 1, "web": 4}, "me", 100.0)
    with store.changing(lease) as change:
        change.finish_build(infrastructure(), {"db": 1, "web": 4})

    def wanted():
        (listed,) = list_infrastructures(store_url)
        return [listed.target, store.overview.one("i").target]

    assert wanted() == [5, 5]
    more = NodeDescription("cache", "cache", scaling=Scaling(3, 6))
    db, web = infrastructure().nodes
    updated = dataclasses.replace(
        infrastructure(), nodes=(db, dataclasses.replace(web, scaling=Scaling(1, 3)), more), dependencies=()
    )
    with store.changing(lease) as change:
        change.put_candidate(updated)
    assert wanted() == [1 + 3 + 3] * 2
    with store.changing(lease) as change:
        change.roll_back(updated, "SIGINT")
    assert wanted() == [5, 5]


@pytest.mark.parametrize(
    "spoilt", [{"targets": ""}, {"targets": "[]"}, {"targets": '{"web": "two"}'}, {"created_at": 1e300}]
)
def test_a_damaged_row_affects_no_other(store, database, spoilt):
    for infra_id, at in (("i", 100.0), ("j", 101.0)):
        store.add_infrastructure(infra_id, infrastructure("shop"), {"web": 2}, "me", at, maintained=True)
    with database.writing() as connection:
        connection.execute(tables.infrastructures.update().where(tables.infrastructures.c.id == "i").values(spoilt))
    by_id = {one.id: one for one in store.overview.all()}
    assert by_id["i"].unreadable.startswith("the infrastructure 'i' in the store cannot be read: ")
    assert (by_id["i"].name, by_id["i"].state) == ("i", InfrastructureState.BUILDING)
    assert (by_id["j"].unreadable, by_id["j"].name, by_id["j"].target) == ("", "shop", 2)
    assert store.overview.one("i") == by_id["i"]


def test_a_damaged_instance_affects_only_its_infrastructure(store, database):
    for infra_id, node in (("i", "n-1"), ("j", "n-2")):
        lease = store.add_infrastructure(infra_id, infrastructure("shop"), {"web": 1}, "me", 100.0)
        add_instances(store, lease, record(node, infra_id=infra_id, stage=Stage.READY))
    with database.writing() as connection:
        connection.execute(tables.instances.update().where(tables.instances.c.infra_id == "i").values(stage="melted"))
    spoilt, well = store.overview.all()
    assert (spoilt.name, spoilt.unreadable) == (
        "shop",
        "an instance of 'i' in the store cannot be read: 'melted' is not a valid Stage",
    )
    assert (well.unreadable, well.instances) == ("", {(Stage.READY, Condition.WELL): 1})


def test_the_latest_events_come_in_their_order(store):
    lease = store.add_infrastructure("i", infrastructure(), {}, "me", 100.0)
    with store.changing(lease) as change:
        change.add_events([(100.0, Event(EventKind.NODE_READY, "i", "web", text=str(number))) for number in range(5)])
    assert [event.text for event in store.events("i", store.service.before_latest("i", 3))] == ["2", "3", "4"]
    assert [store.service.before_latest(*asked) for asked in (("i", 9), ("j", 1))] == [0, 0]
