"""The node definitions of a build belong to it, and are not stored ones."""

from __future__ import annotations

import contextlib
import json

import pytest

from occopus_core.descriptions.serial import infrastructure_to_json
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.engines import make_engine
from occopus_core.store.records import WorkedOnError
from occopus_core.store.repository import Store

from .builders import definition, implementation, infrastructure
from .test_migrations import add, upgrade_to

OWN = {"server": definition("server", implementation("one"), implementation("two", image="{{ name }}"))}


@pytest.fixture
def begun(store):
    """An update with `OWN` in place of a stored definition, and its lease."""
    store.put_definitions([definition("server"), definition("database")])
    lease = store.add_infrastructure("i", infrastructure(), {}, "me", 100.0)
    with store.changing(lease) as change:
        change.finish_build(infrastructure(), {})
    with store.changing(lease) as change:
        assert change.replace_candidate(infrastructure("next"), None, OWN)
    return lease


@pytest.fixture
def store(database):
    return Store(database)


def brought(store):
    return store.infrastructure("i").candidate_definitions


def test_they_are_as_they_were_written_and_stored_ones_stay(store, begun):
    assert brought(store) == OWN
    assert [one.digest for one in brought(store)["server"].implementations] == [
        one.digest for one in OWN["server"].implementations
    ]
    assert store.definitions(["server"]) == {"server": definition("server")}


def test_a_first_build_has_them_and_may_use_types_that_are_not_stored(store):
    checked = []
    store.put_definitions([definition("database")])
    store.add_infrastructure("i", infrastructure(), {}, None, 1.0, definitions=OWN, check_types=checked.extend)
    assert brought(store) == OWN
    assert sorted(checked) == ["database", "server"]
    assert store.definition_names() == ["database"]


@pytest.mark.parametrize("other", [None, infrastructure("another"), infrastructure("next")])
def test_they_go_with_the_build(store, begun, other):
    with store.changing(begun) as change:
        assert change.replace_candidate(other, infrastructure("next"))
    assert brought(store) == {}


def test_they_go_when_the_build_succeeds(store, begun):
    with store.changing(begun) as change:
        change.finish_build(infrastructure("next"), {})
    assert brought(store) == {}


@pytest.mark.parametrize("name", ["next", "another"])
def test_a_request_takes_the_stored_ones_where_no_process_works_on_the_build(store, begun, name):
    wanted = infrastructure(name)
    with pytest.raises(WorkedOnError):
        store.updates.request("i", wanted, 101.0, lambda _record: None)
    assert brought(store) == OWN
    store.release(begun)
    assert store.updates.request("i", wanted, 101.0, lambda _record: None)
    assert brought(store) == {}
    assert store.infrastructure("i").candidate == wanted
    assert not store.updates.request("i", wanted, 101.0, lambda _record: None)


def test_what_only_a_build_uses_is_no_stored_definition(store, begun):
    assert store.definition_names() == ["database", "server"]
    with store.changing(begun) as change:
        change.remove_infrastructure(1.0)
    assert store.definitions(["server"]) == {"server": definition("server")}


def test_a_build_under_way_in_a_store_of_an_older_version_has_none(store_url, opened):
    text = json.dumps(infrastructure_to_json(infrastructure()))
    row = {"id": "i", "name": "shop", "candidate": text, "wanted": True, "targets": "{}", "created_at": 1.0, "epoch": 1}
    database = Database(make_engine(store_url))
    with contextlib.closing(database), database.migrating() as connection:
        upgrade_to(connection, "0017")
        connection.execute(tables.installation.insert().values(id="me"))
        add(connection, tables.infrastructures, row)
    store = Store(opened(store_url))
    assert brought(store) == {}
    assert store.infrastructure("i").candidate == infrastructure()
