"""The list of infrastructures agrees with the store, and never creates one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections import Counter

import pytest

from occopus_core.store.listing import list_infrastructures
from occopus_core.store.records import InfrastructureState, InfrastructureSummary, StoreError
from occopus_core.store.repository import Store

from .builders import add_instances, infrastructure, record


def view(store, *ids):
    """The list as it follows from the rest of the store."""
    records = [store.infrastructure(one) for one in ids]
    return [
        InfrastructureSummary(
            *(one.id, one.current.name, one.state, len(store.instances(one.id)), one.created_at),
            target=sum(one.targets.values()),
            counts=Counter((each.stage, each.condition) for each in store.instances(one.id)),
            outdated=sum(bool(each.outdated) for each in store.instances(one.id)),
            holding=store.holding(one.id),
        )
        for one in records
    ]


def test_says_what_the_store_says_in_every_state(store, store_url):
    leases = {
        state: store.add_infrastructure(state.value, infrastructure(state.value), {"db": 1, "web": 2}, "me", created_at)
        for state, created_at in zip(InfrastructureState, [30.0, 10.5, 40.0, 20.0, 20.0], strict=True)
    }
    for number, lease in enumerate(leases.values()):
        rows = (record(f"{number}-{one}", lease.infra_id, outdated=("db",) * (one % 2)) for one in range(number))
        add_instances(store, lease, *rows)
    for state in (InfrastructureState.READY, InfrastructureState.UPDATING):
        with store.changing(leases[state]) as change:
            change.finish_build(infrastructure(state.value), {"db": 1, "web": 2})
    with store.changing(leases[InfrastructureState.UPDATING]) as change:
        change.put_candidate(infrastructure("another"))
    with store.changing(leases[InfrastructureState.ROLLING_BACK]) as change:
        change.roll_back(infrastructure("rolling_back"), "SIGINT")
    store.request_destroy("dropping")
    listed = list_infrastructures(store_url)
    states = ["updating", "dropping", "ready", "building", "rolling_back"]
    assert [one.state.value for one in listed] == states
    assert listed == view(store, *states)
    assert [(one.instances, one.outdated) for one in listed] == [(1, 0), (4, 2), (3, 1), (0, 0), (2, 1)]
    assert store.service.states() == dict.fromkeys(InfrastructureState, 1)
    assert [one.state.value for one in store.overview.all()] == states
    assert store.service.first_builds() == 2


def test_of_an_empty_store_is_empty(database, store_url):
    assert list_infrastructures(store_url) == []


@pytest.mark.parametrize("name", ["missing.db", "missing/occopus.db"])
def test_of_a_missing_store_is_empty_and_makes_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert list_infrastructures(f"sqlite:///{name}") == []
    assert list(tmp_path.iterdir()) == []


def test_of_an_empty_file_is_empty_and_leaves_it_empty(file):
    file.touch()
    assert list_infrastructures(f"sqlite:///{file}") == []
    assert file.stat().st_size == 0


def test_of_a_store_being_created_is_empty(file):
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE infrastructures (id TEXT)")
        assert list_infrastructures(f"sqlite:///{file}") == []


def test_of_a_database_of_another_program_is_empty(file):
    with contextlib.closing(sqlite3.connect(file)) as foreign:
        foreign.execute("CREATE TABLE colours (name TEXT)")
    before = file.read_bytes()
    assert list_infrastructures(f"sqlite:///{file}") == []
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["a b#1.db", "100%25.db", "o.db?timeout=5"])
def test_finds_the_file_that_the_store_is_in(tmp_path, opened, name):
    url = f"sqlite:///{tmp_path}/{name}"
    Store(opened(url)).add_infrastructure("i", infrastructure(), {}, "me", 1.0)
    assert [one.id for one in list_infrastructures(url)] == ["i"]
    assert len(list(tmp_path.glob("*.db"))) == 1


def test_does_not_wait_for_a_writer(file, opened):
    database = opened(f"sqlite:///{file}")
    store = Store(database)
    lease = store.add_infrastructure("i", infrastructure(), {}, "me", 1.0)
    with store.changing(lease) as change:
        change.request_destroy()
        assert [one.state for one in list_infrastructures(f"sqlite:///{file}")] == [InfrastructureState.BUILDING]


def test_of_what_is_no_database_is_refused(file):
    file.write_text("user: me\n" * 200)
    with pytest.raises(StoreError, match=rf"the store {file} cannot be read: file is not a database"):
        list_infrastructures(f"sqlite:///{file}")


def test_of_a_folder_is_refused(tmp_path):
    with pytest.raises(StoreError, match=rf"the store {tmp_path} cannot be read: unable to open database file"):
        list_infrastructures(f"sqlite:///{tmp_path}")


def test_below_a_file_is_refused(file):
    file.touch()
    with pytest.raises(StoreError, match=rf"the store {file}/o.db cannot be read: Not a directory"):
        list_infrastructures(f"sqlite:///{file}/o.db")


def test_of_a_file_imports_no_sqlalchemy(file):
    program = (
        "import sys; from occopus_core.store.listing import list_infrastructures; "
        f"list_infrastructures('sqlite:///{os.fspath(file)}'); sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
