"""A node definition is removed or replaced while other processes record infrastructures that use it."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from occopus_core.descriptions.model import Infrastructure, NodeDescription
from occopus_core.store import definition_uses, row_conversion
from occopus_core.store.records import DefinitionInUseError
from occopus_core.store.repository import Store

from ..engine.conftest import unsynced
from .builders import definition, implementation

ROUNDS = int(os.environ.get("OCCOPUS_TEST_RACES", "15"))
OLD = Infrastructure("shop", (NodeDescription("keeper", "kept"),), user_id="me")
NEW = Infrastructure("shop", (*OLD.nodes, NodeDescription("web", "web")), user_id="me")


class MissingError(Exception):
    """A type of the description has no definition."""


def refuse(types):
    if types < {"kept", "web"}:
        raise MissingError


def by_first_build(store, infra_id):
    store.add_infrastructure(infra_id, NEW, {}, "me", 1.0, check_types=refuse)


def by_build(store, infra_id):
    lease = store.acquire(infra_id, "me", 1000.0)
    with store.changing(lease) as change:
        refuse(change.defined_types(NEW))
        assert change.replace_candidate(NEW, None)


def by_request(store, infra_id):
    store.updates.request(infra_id, NEW, 1000.0, lambda _record: None, check_types=refuse)


def remove(store):
    store.definition_uses.remove("web")


def replace(store):
    """Import the definitions again, with other implementations."""
    now = str(time.monotonic_ns())
    store.put_definitions([definition(name, implementation(name, image=now)) for name in ("web", "kept")])


ways = pytest.mark.parametrize("record", [by_first_build, by_build, by_request])


@pytest.fixture
def two(opened, store_url):
    """Two processes on one store."""
    databases = [opened(store_url) for _ in range(2)]
    return [Store(unsynced(one) if store_url.startswith("sqlite") else one) for one in databases]


def prepare(store, record, infra_id="shop"):
    """The definitions, and an infrastructure in force unless its first build is being recorded."""
    replace(store)
    if record is not by_first_build:
        lease = store.add_infrastructure(infra_id, OLD, {}, "me", 1.0)
        with store.changing(lease) as change:
            change.finish_build(OLD, {})
        store.release(lease)


def outcome(act, *arguments):
    try:
        act(*arguments)
    except (DefinitionInUseError, MissingError) as error:
        return type(error)
    return None


def forget(store, infra_id):
    lease = store.acquire(infra_id, "me", 10_000.0)
    if lease is not None:
        with store.changing(lease) as change:
            change.remove_infrastructure()


def race(*acts):
    """The results of concurrent acts; none waits for another without end."""
    barrier = threading.Barrier(len(acts))

    def begun(act, *arguments):
        barrier.wait(600)
        return outcome(act, *arguments)

    with ThreadPoolExecutor(len(acts)) as threads:
        return [one.result(600) for one in [threads.submit(begun, *act) for act in acts]]


@ways
def test_of_a_removal_and_a_user_one_fails(two, record):
    for number in range(ROUNDS):
        infra_id = f"shop{number}"
        prepare(two[0], record, infra_id)
        found = race((remove, two[1]), (record, two[0], infra_id))
        assert found in ([None, MissingError], [DefinitionInUseError, None])
        assert ("web" in two[0].definition_names()) == (found[1] is None)
        if found[1] is None or record is not by_first_build:
            forget(two[0], infra_id)


@ways
def test_an_import_at_the_same_time_is_no_removal(two, record):
    for number in range(ROUNDS):
        infra_id = f"shop{number}"
        prepare(two[0], record, infra_id)
        assert race((replace, two[1]), (record, two[0], infra_id), (replace, two[0])) == [None, None, None]


def waits_or_ended(store, started):
    """Wait until another transaction is done, or waits for one of ours; SQLite does not say so."""
    if store._database._engine.dialect.name == "sqlite":
        return
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while not started.done():
        with store._database._engine.connect() as connection:
            if connection.scalar(waiting):
                return


@ways
def test_a_removal_waits_for_a_user_that_is_being_recorded(two, record, monkeypatch):
    prepare(two[0], record)
    with ThreadPoolExecutor(1) as threads:
        begun = []

        def then_removed(types, former=refuse):
            begun.append(threads.submit(outcome, remove, two[1]))
            waits_or_ended(two[1], begun[0])
            former(types)

        monkeypatch.setitem(globals(), "refuse", then_removed)
        assert outcome(record, two[0], "shop") is None
        assert begun[0].result(600) is DefinitionInUseError
    assert "web" in two[0].definition_names()


@ways
@pytest.mark.parametrize(
    ("act", "module", "step", "expected"),
    [
        (remove, definition_uses, "_users", MissingError),
        (remove, definition_uses, "forget_unused_implementations", MissingError),
        (replace, row_conversion, "add_implementations", None),
        (replace, row_conversion, "forget_unused_implementations", None),
    ],
)
def test_a_user_waits_for_a_change_of_the_definition(two, record, monkeypatch, act, module, step, expected):
    """At every step of the other transaction."""
    prepare(two[0], record)
    with ThreadPoolExecutor(1) as threads:
        begun, former = [], getattr(module, step)

        def then(*arguments):
            begun.append(threads.submit(outcome, record, two[0], "shop"))
            waits_or_ended(two[0], begun[0])
            return former(*arguments)

        monkeypatch.setattr(module, step, then)
        act(two[1])
        assert begun[0].result(600) is expected
        monkeypatch.undo()
    assert ("web" in two[0].definition_names()) == (expected is None)


def test_removals_and_imports_do_not_wait_for_each_other(two):
    for _ in range(ROUNDS):
        replace(two[0])
        assert race((remove, two[0]), (replace, two[1])) == [None, None]
