"""Times that no calendar has, over REST: refused in requests, and shown where an older version has stored them."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

pytestmark = pytest.mark.integration

LATEST = "9999-01-01T00:00:00+00:00"


def stored_by_an_older_version(workspace):
    """Give the infrastructures an end that is refused now."""
    with contextlib.closing(sqlite3.connect(workspace.store, timeout=60)) as connection, connection:
        connection.execute("UPDATE infrastructures SET expires_at = 6e14, warns_at = 6e14")


def test_what_no_calendar_has_is_refused_and_shown(ready, describe, serve):
    description = json.loads(describe("web"))
    ready.ready("build", ready.write("a.yaml", json.dumps(description)), "-i", "a", "--ttl", "2h", "--parallelize")
    stored_by_an_older_version(ready)
    with serve(ready) as (_, client):
        for by in ("999999999d", "9999-12-31T23:59-12:00", "0001-01-01T00:00-12:00"):
            answer = client.call("POST", f"/infrastructures/a/extend?by={by}")
            assert (answer.status, len(answer.json["detail"].splitlines())) == (422, 1), by
        late = json.dumps({**description, "expires": "999999999w"})
        for method, path in (("POST", "/infrastructures/"), ("PUT", "/infrastructures/a/description")):
            answer = client.call(method, path, late)
            assert answer.status == 422
            assert "is too long: a life time is at most 365250d" in answer.text
        overview = client.get("/overview")
        assert (overview.status, LATEST in overview.text) == (200, True)
        for path in ("/infrastructures/a", "/infrastructures/a/outline", "/infrastructures/a/plan"):
            assert client.get(path).status == 200, path
    assert f"expires {LATEST}" in ready.ready("maintain", "-l").stdout
