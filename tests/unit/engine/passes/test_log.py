"""The log and the rows are of one piece: whenever a process dies, each says what the other does."""

from __future__ import annotations

import pytest

from occopus_core.engine.passes.context import TIDY_SECONDS
from occopus_core.engine.passes.errors import BuildError
from occopus_core.events import EventKind
from occopus_core.store import repository
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import NoSuchInfrastructureError, Stage
from occopus_core.store.repository import EVENT_SECONDS

from ..conftest import infrastructure, node
from .test_recovery import kills

SHOP = infrastructure("db", node("web", min=2), edges=[("web", "db")])
OTHER = infrastructure("db", node("web", min=3), edges=[("web", "db")])
ANNOUNCED = {
    Stage.CREATING: {EventKind.NODE_CREATING},
    Stage.BOOTING: {EventKind.NODE_CREATING},
    Stage.CONFIGURING: {EventKind.NODE_CREATING},
    Stage.READY: {EventKind.NODE_CREATING, EventKind.NODE_READY},
    Stage.DROPPING: {EventKind.NODE_DROPPING},
}


@pytest.fixture
def world(world):
    world.handler.poll_seconds = (1.0, 5.0)
    world.define("db", "web", boot_seconds=1, delete_seconds=1)
    world.define("bad", boot_seconds=1, fail="disk on fire")
    return world


def kinds(world, infra_id="infra", node_id=None):
    """What is in the log of an infrastructure as a whole, or of one of its instances."""
    stored = [event for event in world.store.events(infra_id) if event.node_id == (node_id or "")]
    return [EventKind(event.kind) for event in stored]


def assert_of_one_piece(world, infra_id):
    about_it = kinds(world, infra_id)
    rows = {record.node_id: record for record in world.store.instances(infra_id)}
    for node_id, record in rows.items():
        told = set(kinds(world, infra_id, node_id))
        assert told >= ANNOUNCED.get(record.stage, set()), (record.stage, told)
        assert EventKind.NODE_DROPPED not in told
        assert EventKind.NODE_READY not in told or record.stage in (Stage.READY, Stage.DROPPING)
    for event in world.store.events(infra_id):
        if event.node_id and event.node_id not in rows and event.kind != EventKind.NODE_WAITING.value:
            assert EventKind.NODE_DROPPED in kinds(world, infra_id, event.node_id)
    try:
        record = world.store.infrastructure(infra_id)
    except NoSuchInfrastructureError:
        assert about_it[-1:] in ([], [EventKind.INFRA_DROPPED])
        return
    assert about_it[0] is EventKind.INFRA_CREATED
    assert EventKind.INFRA_DROPPED not in about_it
    assert (EventKind.INFRA_READY in about_it) == (record.description is not None)
    assert (EventKind.INFRA_UPDATED in about_it) == (record.description == OTHER)


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
class TestKilled:
    def test_while_building(self, world, moment):
        def act(infra_id, life):
            world.build(SHOP, infra_id=infra_id, life=life)

        for infra_id in kills(world, moment, lambda _: None, act):
            assert_of_one_piece(world, infra_id)

    def test_while_updating(self, world, moment):
        def act(infra_id, life):
            world.build(OTHER, infra_id=infra_id, life=life)

        for infra_id in kills(world, moment, lambda infra_id: world.build(SHOP, infra_id=infra_id), act):
            assert_of_one_piece(world, infra_id)

    def test_while_undoing(self, world, moment):
        def act(infra_id, life):
            world.build(infrastructure("db", "bad", edges=[("bad", "db")]), infra_id=infra_id, life=life)

        for infra_id in kills(world, moment, lambda _: None, act):
            assert_of_one_piece(world, infra_id)

    def test_while_destroying(self, world, moment):
        def act(infra_id, life):
            world.destroy(infra_id=infra_id, life=life)

        for infra_id in kills(world, moment, lambda infra_id: world.build(SHOP, infra_id=infra_id), act):
            assert_of_one_piece(world, infra_id)


class TestTheWhole:
    def test_a_life_from_its_beginning_to_its_end(self, world):
        world.build(SHOP)
        world.build(OTHER)
        world.destroy()
        assert kinds(world) == [
            EventKind.INFRA_CREATED,
            EventKind.INFRA_READY,
            EventKind.INFRA_UPDATED,
            EventKind.INFRA_DROPPED,
        ]
        ends = [event.kind for event in world.store.events("infra")]
        assert (ends[0], ends[-1]) == ("infrastructure created", "infrastructure dropped")

    def test_observers_are_told_the_same(self, world):
        world.build(SHOP)
        world.destroy()
        assert [event.kind for event in world.events if not event.node_name] == kinds(world)

    def test_each_instance_has_its_own(self, world):
        world.build(SHOP)
        ids = {record.node_id for record in world.store.instances("infra")}
        world.destroy()
        assert len(ids) == 3
        for node_id in ids:
            assert [kind for kind in kinds(world, node_id=node_id) if kind is not EventKind.NODE_BOOTING] == [
                EventKind.NODE_CREATING,
                EventKind.NODE_READY,
                EventKind.NODE_DROPPING,
                EventKind.NODE_DROPPED,
            ]

    def test_a_first_build_that_fails_ends_what_it_began(self, world):
        with pytest.raises(BuildError):
            world.build(infrastructure("db", "bad"))
        assert kinds(world) == [EventKind.INFRA_CREATED, EventKind.ROLLING_BACK, EventKind.INFRA_DROPPED]
        assert EventKind.NODE_FAILED in {EventKind(event.kind) for event in world.store.events("infra")}

    def test_an_update_that_fails_is_none(self, world):
        world.build(SHOP)
        with pytest.raises(BuildError):
            world.build(infrastructure("db", node("web", min=2), "bad"))
        assert kinds(world) == [EventKind.INFRA_CREATED, EventKind.INFRA_READY, EventKind.ROLLING_BACK]

    def test_a_build_that_maintenance_carries_on_becomes_ready(self, world):
        lease = world.store.add_infrastructure("infra", SHOP, {"db": 1, "web": 2}, "gone", world.clock.now())
        world.store.release(lease)
        world.convergence().maintain()
        assert kinds(world) == [EventKind.INFRA_CREATED, EventKind.INFRA_READY]

    def test_a_pass_with_nothing_to_do_says_nothing(self, world):
        world.build(SHOP)
        before = world.store.events("infra")
        world.clock.time += LEASE_SECONDS
        world.convergence().maintain()
        assert world.store.events("infra") == before


def test_a_pass_forgets_what_is_old(world, monkeypatch):
    monkeypatch.setattr(repository, "MOST_EVENTS", 5)
    world.build(SHOP)
    every = [event.id for event in world.store.events("infra")]
    assert len(every) > 10
    context = world.convergence()
    context.maintain()
    assert [event.id for event in world.store.events("infra")] == every
    world.clock.time += EVENT_SECONDS + 60
    context.maintain()
    assert [event.id for event in world.store.events("infra")] == every[-5:]


def test_passes_of_one_process_look_for_it_now_and_then(world, monkeypatch):
    asked = []
    monkeypatch.setattr(world.store, "forget_events", lambda *what: asked.append(what) or len(asked) == 1)
    world.build(SHOP)
    context = world.convergence()
    for _ in range(5):
        context.maintain()
    assert len(asked) == 2, "the second time because more was left"
    world.clock.time += TIDY_SECONDS
    context.maintain()
    assert len(asked) == 3
