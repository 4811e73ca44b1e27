"""Every change of an infrastructure, by any process, gives it the next revision of the store."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from occopus_core.store import configurations
from occopus_core.store.configurations import ConfigurationRecord, ManagerRecord
from occopus_core.store.database import open_database
from occopus_core.store.records import ScaleKind, Setback
from occopus_core.store.repository import Store
from occopus_core.store.revisions import raise_revision

from .builders import implementation, infrastructure, record
from .test_repository import TARGETS


@pytest.fixture
def lease(store):
    return store.add_infrastructure("i", infrastructure(), TARGETS, "me", 100.0)


def configuration(**changes):
    fields = {"node_id": "n", "type": "t", "settings": "{}", "infra_id": "i", "infra_name": "", "node_name": "web"}
    return ConfigurationRecord(**{**fields, "token": "occopus-n", "section": {"type": "t"}, **changes})


UNDER_A_LEASE = {
    "candidate": lambda change: change.put_candidate(infrastructure("other")),
    "targets": lambda change: change.put_targets(TARGETS),
    "undefined": lambda change: change.put_undefined({"web": "waiting for a usable definition: x"}),
    "setbacks": lambda change: change.put_setbacks({"web": Setback(1, 100.0)}),
    "rollback": lambda change: change.roll_back(infrastructure(), "why"),
    "frozen": lambda change: change.put_frozen("why"),
    "condemned": lambda change: change.condemn(["n"]),
    "requests": lambda change: change.answer_requests({}, 100.0),
    "events": lambda change: change.add_events([]),
    "destruction": lambda change: change.request_destroy(),
    "build": lambda change: change.finish_build(infrastructure(), TARGETS),
    "instances": lambda change: change.put_instances([]),
    "removal": lambda change: change.remove_instances(["n"]),
    "configurations": lambda change: change.put_configurations([configuration()]),
    "forgotten": lambda change: change.remove_configurations([configuration().key]),
}
WITHOUT_A_LEASE = {
    "scaling": lambda store: store.request_scaling("i", "web", ScaleKind.SET, 2, "", 100.0),
    "destruction": lambda store: store.request_destroy("i"),
    "maintained": lambda store: store.service.mark("i", maintained=True),
    "forgotten": lambda store: store.configurations.forgotten([configuration()]),
    "manager": lambda store: store.configurations.infrastructure_forgotten(ManagerRecord("i", "t", "{}", {})),
}


def test_one_that_is_added_has_one(store, lease):
    last = store.revisions.since(-1)
    assert last.changed == {"i": store.infrastructure("i").revision}
    assert last.store == last.changed["i"] > 0


@pytest.mark.parametrize("change", UNDER_A_LEASE.values(), ids=UNDER_A_LEASE)
def test_changes_under_a_lease(store, lease, change):
    before = store.revisions.since(-1).store
    with store.changing(lease) as changing:
        change(changing)
    found = store.revisions.since(before)
    assert found.changed == {"i": found.store}
    assert found.store > before
    assert found.present is None
    assert store.reached(lease) == found.store, "made under the lease"


@pytest.mark.parametrize("act", WITHOUT_A_LEASE.values(), ids=WITHOUT_A_LEASE)
def test_changes_without_a_lease(store, lease, act):
    store.add_infrastructure("other", infrastructure(), TARGETS, None, 100.0)
    before, reached = store.revisions.since(-1).store, store.reached(lease)
    act(store)
    found = store.revisions.since(before)
    assert found.changed == {"i": found.store}
    assert store.reached(lease) == reached < found.store
    with store.changing(lease):
        pass
    assert store.reached(lease) == reached, "the request of somebody else lies between"


def test_a_change_that_is_undone_has_none(store, lease):
    before = store.revisions.since(-1).store
    with contextlib.suppress(ZeroDivisionError), store.changing(lease) as change:
        change.put_frozen("why")
        raise ZeroDivisionError
    assert store.revisions.since(before).changed == {}
    assert store.reached(lease) == before


def test_leases_change_nothing(store, lease):
    before = store.revisions.since(-1).store
    with store.changing(lease, brief=True) as change:
        change.renew(200.0)
    store.release(lease)
    taken = store.acquire("i", "you", 300.0)
    assert store.reached(taken) == before
    assert store.revisions.since(before).store == before


def test_removed_infrastructures_are_noticed(store, lease):
    store.add_infrastructure("other", infrastructure(), TARGETS, None, 100.0)
    before = store.revisions.since(-1).store
    with store.changing(lease) as change:
        change.remove_infrastructure()
    found = store.revisions.since(before)
    assert found.changed == {}
    assert found.present == {"other"}


def test_an_id_that_is_used_again_has_a_later_one(store, lease):
    before = store.infrastructure("i").revision
    with store.changing(lease) as change:
        change.remove_infrastructure()
    store.add_infrastructure("i", infrastructure(), TARGETS, None, 200.0)
    assert store.infrastructure("i").revision > before


def test_a_backup_that_was_put_back_changes_everything(store, lease):
    found = store.revisions.since(10**9)
    assert found.changed == {"i": found.store}
    assert found.present == {"i"}


def test_instances_of_one_change_no_other(store, lease):
    other = store.add_infrastructure("other", infrastructure(), TARGETS, "me", 100.0)
    before = store.revisions.since(-1).store
    with store.changing(lease) as change:
        change.add_implementations([implementation()])
        change.add_instances([record()])
    assert set(store.revisions.since(before).changed) == {"i"}
    assert store.reached(other) <= before


def test_revisions_are_seen_in_their_order(store_url):
    """A process that has seen one has seen all earlier ones, however many processes write concurrently."""
    writers, each = 4, 8
    stores = [Store(open_database(store_url)) for _ in range(writers)]
    seen, over = {}, threading.Event()

    def write(number):
        store = stores[number]
        mine = store.add_infrastructure(f"i{number}", infrastructure(), TARGETS, "me", 100.0)
        for _ in range(each):
            with store.changing(mine) as change:
                change.put_frozen("why")
            store.configurations.forgotten([configuration(infra_id="i0"), configuration(infra_id=f"i{number}")])

    def watch():
        store, last = Store(open_database(store_url)), -1
        while not over.is_set() or store.revisions.since(last).store != last:
            found = store.revisions.since(last)
            last = found.store
            seen.update(found.changed)
        store.close()

    with ThreadPoolExecutor() as pool:
        watching = pool.submit(watch)
        try:
            list(pool.map(write, range(writers)))
        finally:
            over.set()
        watching.result()
    assert seen == {f"i{number}": stores[0].infrastructure(f"i{number}").revision for number in range(writers)}
    for store in stores:
        store.close()


def test_whatever_changes_rows_raises_the_revision(database, store, lease):
    """Every transaction that writes to the rows of an infrastructure ends with the next revision of the store."""
    statements = []
    sa.event.listen(
        database._engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement)
    )
    for act in WITHOUT_A_LEASE.values():
        statements.clear()
        act(store)
        writing = [one for one in statements if one.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))]
        assert writing[-1].startswith("UPDATE infrastructures SET revision")
        assert writing[-2].startswith("UPDATE installation SET revision")


def test_an_infrastructure_that_is_added_meanwhile_is_not_waited_for(store_url, monkeypatch):
    """Its row did not exist when rows were locked: locking it after the counter would violate the lock order."""
    store, other = (Store(open_database(store_url)) for _ in range(2))
    raised, former = [], configurations.remove_configurations

    def then_added(connection, keys):
        former(connection, keys)
        if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
            other.add_infrastructure("late", infrastructure(), TARGETS, "me", 100.0)

    def raising(connection, infra_ids):
        raised.append(list(infra_ids))
        return raise_revision(connection, infra_ids)

    store.add_infrastructure("i", infrastructure(), TARGETS, "me", 100.0)
    monkeypatch.setattr(configurations, "remove_configurations", then_added)
    monkeypatch.setattr(configurations, "raise_revision", raising)
    store.configurations.forgotten([configuration(infra_id="i"), configuration(infra_id="late")])
    assert raised == [["i"]]
    store.close()
    other.close()
