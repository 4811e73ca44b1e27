"""The store returns what was written, and changes need the lease."""

from __future__ import annotations

import dataclasses

import pytest

from occopus_core.store import engines, tables
from occopus_core.store.records import (
    InfrastructureRecord,
    InfrastructureState,
    InstanceRecord,
    Lease,
    LeaseLostError,
    NoSuchInfrastructureError,
    Stage,
    StoreError,
)
from occopus_core.store.repository import LEASE_SECONDS, InfrastructureTakenError, Store

from .builders import add_instances, definition, implementation, infrastructure, record

TARGETS = {"db": 1, "web": 2}


@pytest.fixture
def lease(store):
    return store.add_infrastructure("i", infrastructure(), TARGETS, "me", 100.0)


class TestDefinitions:
    def test_come_back_with_their_implementations_in_order(self, store):
        web = definition("web", implementation("b"), implementation("a"), implementation("c"))
        db = definition("db", implementation("a"))
        store.put_definitions([web, db])
        assert store.definitions(["web", "db", "web", "other"]) == {"web": web, "db": db}
        assert store.definition_names() == ["db", "web"]

    def test_an_implementation_named_twice_is_twice_there(self, store):
        twice = definition("web", implementation(), implementation())
        store.put_definitions([twice])
        assert store.definitions(["web"]) == {"web": twice}

    def test_replace_those_of_the_same_name_alone(self, store):
        kept = definition("db", implementation("kept"))
        store.put_definitions([definition("web", implementation("a"), implementation("b")), kept])
        new = definition("web", implementation("c"))
        store.put_definitions([new])
        assert store.definitions(["web", "db"]) == {"web": new, "db": kept}

    def test_more_than_one_statement_can_ask_for(self, store):
        many = [definition("n" * 300 + str(number), implementation(str(number))) for number in range(1201)]
        store.put_definitions(many)
        assert store.definitions([one.name for one in many]) == {one.name: one for one in many}
        digests = [one.implementations[0].digest for one in many]
        assert store.implementations(digests).keys() == set(digests)

    def test_none_is_put_where_one_cannot_be(self, store):
        before = definition("web", implementation("before"))
        store.put_definitions([before])
        with pytest.raises(StoreError):
            store.put_definitions([definition("web", implementation("after")), definition("db"), definition("db")])
        assert store.definitions(store.definition_names()) == {"web": before}
        assert store.implementations([implementation("after").digest]) == {}

    def test_empty_queries_and_writes(self, store):
        store.put_definitions([])
        assert store.definitions([]) == store.implementations([]) == {}
        assert store.definition_names() == []


class TestImplementations:
    def test_unused_ones_are_removed(self, store):
        old, new = implementation("old"), implementation("new")
        store.put_definitions([definition("web", old)])
        store.put_definitions([definition("web", new)])
        assert store.implementations([old.digest, new.digest]) == {new.digest: new}

    def test_of_instances_stay_until_these_are_gone(self, store, lease):
        old = implementation("old")
        store.put_definitions([definition("web", old)])
        add_instances(store, lease, record(implementation=old.digest), implementations=[old])
        store.put_definitions([definition("web", implementation("new"))])
        assert store.implementations([old.digest]) == {old.digest: old}
        with store.changing(lease) as change:
            change.remove_infrastructure()
        assert store.implementations([old.digest]) == {}

    def test_an_instance_needs_one_that_is_there(self, store, lease):
        with pytest.raises(StoreError, match=r"(?i)foreign key"), store.changing(lease) as change:
            change.add_instances([record()])
        assert store.instances("i") == []


class TestInfrastructures:
    def test_a_new_one_comes_back(self, store, lease):
        assert (lease.infra_id, lease.holder) == ("i", "me")
        assert store.infrastructure("i") == InfrastructureRecord(
            "i", description=None, candidate=infrastructure(), wanted=True, created_at=100.0, targets=TARGETS
        )

    def test_an_epoch_does_not_come_back(self, store, lease):
        with store.changing(lease) as change:
            change.remove_infrastructure()
        assert store.add_infrastructure("i", infrastructure(), TARGETS, "you", 200.0).epoch != lease.epoch
        with pytest.raises(LeaseLostError), store.changing(lease):
            raise AssertionError("the one that is gone has come back")

    def test_an_id_is_taken_once(self, store, lease):
        with pytest.raises(InfrastructureTakenError, match="'i' exists already"):
            store.add_infrastructure("i", infrastructure("other"), {}, "you", 200.0)
        assert store.infrastructure("i").current.name == "web-shop"
        assert store.holding("i").holder == "me"

    def test_states_follow_one_another(self, store, lease):
        def state():
            return store.infrastructure("i").state

        assert state() is InfrastructureState.BUILDING
        with store.changing(lease) as change:
            change.finish_build(infrastructure(), TARGETS)
        assert state() is InfrastructureState.READY
        with store.changing(lease) as change:
            change.put_candidate(infrastructure("renamed"))
        assert state() is InfrastructureState.UPDATING
        assert store.infrastructure("i").candidate == infrastructure("renamed")
        assert store.infrastructure("i").targets == TARGETS, "those of what is in force"
        with store.changing(lease) as change:
            change.put_candidate(None)
        assert state() is InfrastructureState.READY
        assert store.infrastructure("i").description == infrastructure()
        with store.changing(lease) as change:
            change.request_destroy()
        assert state() is InfrastructureState.DROPPING
        with store.changing(lease) as change:
            assert not change.wanted
            change.remove_infrastructure()
        with pytest.raises(NoSuchInfrastructureError):
            store.infrastructure("i")

    def test_settling_keeps_its_own_instances(self, store, lease):
        other = store.add_infrastructure("j", infrastructure(), TARGETS, "me", 100.0)
        add_instances(store, lease, record("n-1"), record("n-2"))
        add_instances(store, other, record("n-3", "j"))
        with store.changing(lease) as change:
            change.finish_build(infrastructure("settled"), {"web": 4})
        assert store.infrastructure("i").description == infrastructure("settled")
        assert store.infrastructure("i").targets == {"web": 4}
        assert [one.provisional for one in store.instances("i")] == [False, False]
        assert [one.provisional for one in store.instances("j")] == [True]

    def test_any_process_may_request_destruction(self, store, lease):
        with store.changing(lease) as change:
            assert change.wanted
        store.request_destroy("i")
        store.request_destroy("i")
        assert not store.infrastructure("i").wanted
        with store.changing(lease) as change:
            assert not change.wanted

    def test_removing_one_leaves_the_others(self, store, lease):
        other = store.add_infrastructure("j", infrastructure(), TARGETS, "me", 100.0)
        add_instances(store, lease, record("n-1"))
        add_instances(store, other, record("n-2", "j"))
        with store.changing(lease) as change:
            change.remove_infrastructure()
        assert store.instances("i") == []
        assert store.instances("j") == [record("n-2", "j")]
        assert store.add_infrastructure("i", infrastructure(), {}, "me", 300.0).infra_id == "i"

    @pytest.mark.parametrize("ask", ["infrastructure", "holding", "request_destroy"])
    def test_an_unknown_one_is_named(self, store, ask):
        with pytest.raises(NoSuchInfrastructureError, match="no infrastructure has the id 'x'; occopus-maintain -l"):
            getattr(store, ask)("x")
        assert store.instances("x") == []


class TestInstances:
    def test_come_back_as_they_were(self, store, lease):
        full = record("n-1")
        bare = record("n-2", position=1, instance_id=None, addresses=(), reason="", connection="", stage=Stage.RESERVED)
        add_instances(store, lease, full, bare)
        assert store.instances("i") == [full, bare]

    def test_come_by_node_and_position(self, store, lease):
        ids = ["b-2", "a-1", "b-0", "a-0"]
        add_instances(store, lease, *(record(one, node_name=one[0], position=int(one[2])) for one in ids))
        assert [one.node_id for one in store.instances("i")] == ["a-0", "a-1", "b-0", "b-2"]

    @pytest.mark.parametrize("stage", Stage)
    def test_every_stage_can_be_written(self, store, lease, stage):
        add_instances(store, lease, record(stage=stage))
        assert store.instances("i")[0].stage is stage

    def test_are_updated(self, store, lease):
        other = implementation("other")
        add_instances(store, lease, record("n-1", stage=Stage.RESERVED), record("n-2", position=1))
        new = record(
            "n-1", implementation=other.digest, stage=Stage.READY, since=9.5, created_at=8.5, reason="fine",
            connection="{}", fingerprint="0", instance_id="vm-9", addresses=()
        )  # fmt: skip
        with store.changing(lease) as change:
            change.add_implementations([other])
            change.put_instances([new])
        assert store.instances("i") == [new, record("n-2", position=1)]

    def test_an_update_does_not_undo_keep_instances(self, store, lease):
        add_instances(store, lease, record())
        with store.changing(lease) as change:
            change.finish_build(infrastructure(), TARGETS)
            change.put_instances([record(stage=Stage.READY)])
        assert store.instances("i") == [record(stage=Stage.READY, provisional=False)]

    @pytest.mark.parametrize("reason", ["nul \0 in it", "half a pair \ud800", "ünïcode \N{PILE OF POO}"])
    def test_any_message_of_a_provider_can_be_stored(self, store, lease, reason):
        add_instances(store, lease, record(reason=reason))
        assert store.instances("i")[0].reason.startswith(reason.split()[0])

    def test_are_removed_as_often_as_one_likes(self, store, lease):
        many = [record(f"n-{number}", position=number) for number in range(1201)]
        add_instances(store, lease, *many)
        gone = {one.node_id for one in many[1:]}
        for _ in range(2):
            with store.changing(lease) as change:
                change.remove_instances(gone)
        assert store.instances("i") == [many[0]]

    def test_nothing_to_change_changes_nothing(self, store, lease):
        with store.changing(lease) as change:
            change.add_implementations([])
            change.add_instances([])
            change.put_instances([])
            change.remove_instances([])
        assert store.instances("i") == []


class TestLeases:
    def test_lasts_until_it_expires(self, store, lease):
        assert store.acquire("i", "you", 100.0 + LEASE_SECONDS - 0.1) is None
        assert store.holding("i").holder == "me"
        assert store.acquire("i", "you", 100.0 + LEASE_SECONDS) == Lease("i", "you", lease.epoch + 1)
        assert store.holding("i").holder == "you"

    def test_the_holder_itself_waits_too(self, store, lease):
        assert store.acquire("i", "me", 101.0) is None

    def test_renewing_makes_it_last(self, store, lease):
        with store.changing(lease) as change:
            change.renew(110.0)
        assert store.acquire("i", "you", 109.0 + LEASE_SECONDS) is None
        assert store.acquire("i", "you", 110.0 + LEASE_SECONDS) is not None

    def test_a_released_one_is_free_at_once(self, store, lease):
        store.release(lease)
        assert store.holding("i") is None
        assert store.acquire("i", "you", 100.0) == Lease("i", "you", lease.epoch + 1)

    def test_an_expired_one_is_valid_until_it_is_taken(self, store, lease):
        with store.changing(lease) as change:
            change.renew(100.0 + 10 * LEASE_SECONDS)
        assert store.acquire("i", "you", 100.0 + 2 * LEASE_SECONDS) is None

    def test_an_old_one_changes_nothing(self, store, lease):
        new = store.acquire("i", "you", 100.0 + LEASE_SECONDS)
        lost = pytest.raises(LeaseLostError, match="another process has taken over the infrastructure 'i'")
        with lost, store.changing(lease):
            pytest.fail("a change began under an old lease")
        store.release(lease)
        assert store.holding("i").holder == "you"
        with store.changing(new) as change:
            change.renew(200.0)

    def test_it_is_not_taken_during_a_change(self, store, store_url, lease, opened, monkeypatch):
        monkeypatch.setattr(engines, "BUSY_TIMEOUT", 0)
        impatient = "?options=-c lock_timeout=1ms" if store_url.startswith("postgresql") else ""
        other = Store(opened(store_url + impatient))
        refused = pytest.raises(StoreError, match=r"locked|lock timeout")
        with store.changing(lease), refused:
            other.acquire("i", "you", 1000.0)
        assert other.acquire("i", "you", 1000.0) is not None

    def test_one_of_an_infrastructure_that_is_gone_is_lost(self, store, lease):
        with store.changing(lease) as change:
            change.remove_infrastructure()
        with pytest.raises(LeaseLostError), store.changing(lease):
            pass
        store.release(lease)

    def test_of_an_unknown_infrastructure(self, store):
        with pytest.raises(NoSuchInfrastructureError):
            store.acquire("x", "me", 100.0)

    def test_holds_for_its_infrastructure_alone(self, store, lease):
        store.add_infrastructure("j", infrastructure(), {}, "me", 100.0)
        store.release(lease)
        assert store.holding("j").holder == "me"
        assert store.acquire("j", "you", 100.0) is None


def test_a_change_that_fails_is_undone_as_a_whole(store, lease):
    add_instances(store, lease, record("n-1"))
    with pytest.raises(ZeroDivisionError), store.changing(lease) as change:  # noqa: PT012
        change.put_candidate(infrastructure("other"))
        change.add_instances([record("n-2")])
        change.remove_instances(["n-1"])
        1 / 0  # noqa: B018
    assert store.instances("i") == [record("n-1")]
    assert store.infrastructure("i").candidate == infrastructure()
    with store.changing(lease) as change:
        change.renew(100.0)


def test_what_is_written_is_there_for_the_next_process(store, store_url, lease, opened):
    add_instances(store, lease, record())
    other = Store(opened(store_url))
    assert other.installation == store.installation
    assert other.infrastructure("i") == store.infrastructure("i")
    assert other.instances("i") == [record()]


def test_every_field_of_an_instance_is_a_column():
    fields = {field.name for field in dataclasses.fields(InstanceRecord)}
    assert fields == set(tables.instances.c.keys())
