"""Rows with arbitrary content: reading gives a result or one clear error."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from occopus_core.descriptions.serial import implementation_to_json, infrastructure_to_json
from occopus_core.events import Event, EventKind
from occopus_core.store.database import open_database
from occopus_core.store.listing import list_infrastructures
from occopus_core.store.records import NoSuchInfrastructureError, ScaleKind, StoreError
from occopus_core.store.repository import Store

from .builders import add_instances, definition, implementation, infrastructure, record

pytestmark = pytest.mark.slow


COLUMNS = {
    "infrastructures": ("description", "candidate", "wanted", "targets", "setbacks", "frozen", "created_at", "epoch",
                        "lease_holder", "lease_expires", "name", "rolling_back", "undefined",
                        "candidate_definitions"),
    "instances": ("stage", "condition", "addresses", "position", "since", "created_at", "unhealthy_since",
                  "well_since", "ill_seconds", "outdated", "rendered",
                  "instance_id", "node_name", "token", "connection", "reason", "provisional", "condemned",
                  "implementation"),
    "implementations": ("body",),
    "scale_requests": ("kind", "amount", "instance", "node_name", "applied_at", "requested_at"),
    "events": ("at", "kind", "node_name", "text"),
    "definitions": ("position", "implementation"),
    "places": ("connection", "implementation"),
    "installation": ("id",),
}  # fmt: skip
WHERE = st.sampled_from([(table, column) for table, columns in COLUMNS.items() for column in columns])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
GOOD = [infrastructure_to_json(infrastructure()), implementation_to_json(implementation())]


@st.composite
def spoilt(draw):
    """A body with one value replaced."""
    body = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    within = body
    while True:
        key = draw(st.sampled_from(sorted(within) if isinstance(within, dict) else range(len(within))))
        if isinstance(within[key], dict | list) and within[key] and draw(st.booleans()):
            within = within[key]
        else:
            break
    if draw(st.booleans()) and isinstance(within, dict):
        del within[key]
    else:
        within[key] = draw(JSON)
    return json.dumps(body)


VALUES = (
    JSON.map(json.dumps)
    | spoilt()
    | st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.binary(max_size=9)
    | st.text(max_size=9)
    | st.sampled_from([("[", 100_000), ("x", 1_000_000), ("9", 10_000)])
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    file = tmp_path_factory.mktemp("hostile") / "good.db"
    with contextlib.closing(open_database(f"sqlite:///{file}")) as database:
        store = Store(database)
        store.put_definitions([definition("web")])
        lease = store.add_infrastructure("i", infrastructure(), {"db": 1, "web": 2}, "me", 0.0)
        add_instances(store, lease, record())
        with store.changing(lease) as change:
            change.add_events([(1.0, Event(EventKind.NODE_READY, "i", "web", "n-1", "text"))])
        store.request_scaling("i", "web", ScaleKind.SET, 3, "", 1.0)
    return file


def read_all(url):
    """Read everything separately; the reasons of refusals."""
    refused = []
    try:
        database = open_database(url)
    except StoreError as error:
        return [str(error)]
    with contextlib.closing(database):
        store = Store(database)
        for read in (
            lambda: store.infrastructure("i").current,
            lambda: store.infrastructure("i").state,
            lambda: store.instances("i"),
            store.instances_by_token,
            lambda: store.implementations({implementation().digest}),
            lambda: store.definitions(["web"]),
            lambda: store.pending_requests("i"),
            lambda: store.events("i"),
            store.places.all,
            lambda: store.holding("i"),
            lambda: store.acquire("i", "me", 1e9),
            lambda: list_infrastructures(url),
        ):
            try:
                read()
            except (StoreError, NoSuchInfrastructureError) as error:  # a file that lost all its content is a new store
                refused.append(str(error))
    return refused


@given(where=WHERE, value=VALUES)
@example(("infrastructures", "description"), "null")
@example(("infrastructures", "candidate"), None)
@example(("infrastructures", "targets"), '{"web": "2"}')
@example(("infrastructures", "setbacks"), '{"web": {"count": 1}}')
@example(("infrastructures", "created_at"), "yesterday")
@example(("instances", "stage"), "half-way")
@example(("instances", "addresses"), '[["192.0.2.1", "lunar"]]')
@example(("instances", "addresses"), "7")
@example(("implementations", "body"), '{"format": 1}')
@example(("implementations", "body"), ("[", 100_000))
@settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_row_is_met_with_a_traceback(filled, tmp_path, where, value):
    file = tmp_path / "bad.db"
    shutil.copy(filled, file)
    table, column = where
    value = value[0] * value[1] if isinstance(value, tuple) else value
    with contextlib.closing(sqlite3.connect(file)) as connection, contextlib.suppress(sqlite3.IntegrityError):
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        connection.commit()
    assert all(len(reason) < 1000 for reason in read_all(f"sqlite:///{file}"))


@given(data=st.data())
@settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_spoilt_file_is_met_with_a_traceback(filled, tmp_path, data):
    """Pages are overwritten, or the end is missing, as on a failing disk."""
    file = tmp_path / "bad.db"
    content = bytearray(filled.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:at]
    else:
        junk = data.draw(st.binary(min_size=1, max_size=600))
        content[at : at + len(junk)] = junk
    file.write_bytes(content)
    for left in tmp_path.glob("bad.db-*"):
        left.unlink()
    read_all(f"sqlite:///{file}")


def test_what_is_well_is_read(filled, tmp_path):
    shutil.copy(filled, tmp_path / "good.db")
    assert read_all(f"sqlite:///{tmp_path}/good.db") == []
