"""Old events are removed; readers of the log continue with the remaining ones."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from occopus_core.store.repository import EVENT_PORTION, MOST_EVENTS

pytestmark = pytest.mark.integration

MORE = 100


def fill(file, count):
    """Add this many old events; return the ids of the first and the last."""
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as connection, connection:
        ((last,),) = connection.execute("SELECT max(id) FROM events")
        connection.execute("UPDATE events SET at = 1.0")
        connection.executemany(
            "INSERT INTO events (infra_id, at, kind, node_name, node_id, text) VALUES ('i', ?, 'healing', '', '', '')",
            [(float(number),) for number in range(count)],
        )
    return last + 1, last + count


def test_a_log_is_bounded_and_goes_on_in_order(ready, serve, describe, until):
    ready.write("one.yaml", describe("db"))
    ready.ready("build", "one.yaml", "-i", "i")
    first, last = fill(ready.store, MOST_EVENTS + MORE)
    assert MORE < EVENT_PORTION, "one pass is enough"
    ready.ready("maintain", "-i", "i")
    kept = last - MOST_EVENTS + 1
    assert ready.query("SELECT min(id), count(*) FROM events") == [(kept, MOST_EVENTS)]
    with serve(ready) as (_, client):

        def ids(path, **headers):
            return [one["id"] for one in client.get(f"/infrastructures/i/events{path}", **headers).json["events"]]

        # A reader whose last event was removed continues with the oldest one left, and gets no event twice.
        assert ids(f"?after={first}&limit=3") == [kept, kept + 1, kept + 2]
        assert ids("?limit=1", Last_Event_ID=str(first)) == [kept]
        assert ids(f"?after={last - 1}") == [last]
        assert ids("?last=2") == [last - 1, last]
        assert client.get(f"/infrastructures/i/events?after={last}").json == {"events": []}
        client.post("/infrastructures/i/attach")
        client.post("/infrastructures/i/scaleto/db/1")
        until(lambda: len(ids(f"?after={last}")) >= 2)
        assert min(ids(f"?after={last}")) > last, "no id comes twice"
