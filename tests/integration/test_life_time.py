"""Life times and maintainers of infrastructures, with the commands and the service."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration


def past(workspace, infra_id):
    """Let the life time end."""
    with contextlib.closing(sqlite3.connect(workspace.store, timeout=60)) as connection, connection:
        connection.execute("UPDATE infrastructures SET expires_at = 1000 WHERE id = ?", (infra_id,))


def expires(workspace, infra_id):
    ((value,),) = workspace.query("SELECT expires_at FROM infrastructures WHERE id = ?", infra_id)
    return value


def test_ttl_is_set_shown_extended_and_kept(ready, cloud):
    began = time.time()
    ready.ready("build", "trial.yaml", "-i", "short", "--ttl", "2h", "--parallelize")
    end = expires(ready, "short")
    assert began + 7200 <= end <= time.time() + 7200
    shown = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(end))
    assert (
        f"it expires at {shown}, and is destroyed by maintenance after that: none is running"
        in ready.ready("maintain", "-r", "-i", "short").stdout
    )
    assert ready.report("short")["web"]["expires_at"] == shown
    assert "expires " in ready.ready("maintain", "-l").stdout
    (listed,) = json.loads(ready.ready("maintain", "-l", "-o", "json").stdout)["infrastructures"]
    assert (listed["expires_at"], listed["maintainer"]) == (shown, None)
    ready.ready("build", "trial.yaml", "-i", "short", "--parallelize")
    assert expires(ready, "short") == end, "a build without a life time leaves it"
    ended = ready.ready("maintain", "-i", "short", "--extend", "1h")
    assert "'short' is destroyed at " in ended.stderr
    assert expires(ready, "short") == end + 3600
    ready.ready("maintain", "-i", "short", "--extend", "never")
    assert expires(ready, "short") is None
    for words in (
        ("--extend", "soon"),
        ("--extend", "1h"),
        ("--extend", "2020-01-01"),
        ("--extend", "9999-12-31T23:59-12:00"),
    ):
        ended = ready.run("maintain", "-i", "short", *words)
        assert ended.code == 2
        assert len(ended.complaint) == 1
    assert ready.run("build", "trial.yaml", "--ttl", "2020-01-01").code == 2
    ended = ready.run("build", "trial.yaml", "--plan", "--ttl", "9999-12-31T23:59-12:00")
    assert (ended.code, len(ended.complaint)) == (2, 1)
    past(ready, "short")
    ready.ready("maintain", "-i", "short", "--parallelize")
    assert ready.rows("short") == 0
    assert cloud.machines("short") == []
    assert "expired" in ready.ready("maintain", "-i", "short", "--events").stdout


def test_a_build_that_moves_the_end_says_so(ready):
    ready.ready("build", "trial.yaml", "-i", "short", "--parallelize")
    planned = ready.run("build", "trial.yaml", "-i", "short", "--detailed-exitcode")
    assert (planned.code, planned.stdout.splitlines()[-1]) == (0, "0 to create, 0 to replace, 0 to destroy, 3 to keep")
    planned = ready.run("build", "trial.yaml", "-i", "short", "--detailed-exitcode", "--ttl", "2030-01-01")
    line = "it will be destroyed at 2030-01-01T00:00:00+00:00 (was: never)"
    assert (planned.code, line in planned.stdout.splitlines()) == (2, True)
    description = {**json.loads((ready.folder / "trial.yaml").read_text()), "expires": "2030-01-01", "user_id": "other"}
    ready.write("other.yaml", json.dumps(description))
    planned = ready.run("build", "other.yaml", "-i", "short", "--detailed-exitcode", "-o", "json")
    found = json.loads(planned.stdout)
    assert planned.code == 2
    assert found["life_time"] == {"before": None, "after": "2030-01-01T00:00:00+00:00"}
    assert {one["path"] for one in found["infrastructure_changes"]} == {"expires", "user_id"}
    assert found["changes"] == {}
    assert line in ready.ready("build", "other.yaml", "-i", "short").stderr
    planned = ready.run("build", "other.yaml", "-i", "short", "--detailed-exitcode")
    assert planned.code == 0, planned.stdout


def test_a_description_that_is_wrong_about_its_end_is_refused(ready):
    description = json.loads((ready.folder / "trial.yaml").read_text())
    for expires, why in (("soon", "expected a duration"), ("2020-01-01", "is over already"), (90, "")):
        ready.write("bad.yaml", json.dumps({**description, "expires": expires}))
        ended = ready.run("build", "bad.yaml")
        assert ended.code == 2
        (line,) = ended.complaint
        assert line.startswith("error: bad.yaml:1:")
        assert why in line


def test_a_service_destroys_infrastructures_at_their_end_however_they_were_built(ready, cloud, until):
    ready.ready("build", "trial.yaml", "-i", "short", "--ttl", "2h", "--parallelize")
    past(ready, "short")
    process = ready.start("rest-service", "--port", "0")
    try:
        until(lambda: ready.rows("short") == 0)
        assert cloud.machines("short") == []
    finally:
        process.send_signal(signal.SIGTERM)
        ready.end(process)


def test_who_maintains_is_shown_until_the_end(ready, until):
    ready.ready("build", "trial.yaml", "-i", "kept", "--parallelize")
    assert "not maintained" in ready.ready("maintain", "-r", "-i", "kept").stdout

    def maintained():
        return ready.report("kept")["web"]["maintainer"]

    with ready.start("maintain", "-c", "-i", "kept", "-t", "1") as process:
        until(maintained)
        assert maintained()["alive"]
        assert maintained()["name"].startswith(f"process {process.pid} on ")
        assert f"maintained by process {process.pid} on " in ready.ready("maintain", "-l").stdout
        process.send_signal(signal.SIGKILL)
        process.wait(LONGEST)
    with contextlib.closing(sqlite3.connect(ready.store, timeout=60)) as connection, connection:
        connection.execute("UPDATE maintainers SET seen = seen - 100")
    assert not maintained()["alive"]
    assert "and was killed or is frozen" in ready.ready("maintain", "-l").stdout
    with ready.start("maintain", "-c", "-i", "kept", "-t", "1") as process:
        until(lambda: maintained()["alive"])
        process.send_signal(signal.SIGTERM)
        process.wait(LONGEST)
    assert maintained() is None


def test_reports_say_as_of_when_they_are(ready):
    ready.ready("build", "trial.yaml", "-i", "left", "--parallelize")
    first = ready.report("left")["web"]["seen_at"]
    shown = f"states as of {first} ("
    assert shown in ready.ready("maintain", "-r", "-i", "left").stdout
    assert "as of" not in ready.ready("maintain", "-l").stdout
    with contextlib.closing(sqlite3.connect(ready.store, timeout=60)) as connection, connection:
        connection.execute("UPDATE infrastructures SET seen_at = seen_at - 3600")
    (listed,) = json.loads(ready.ready("maintain", "-l", "-o", "json").stdout)["infrastructures"]
    assert listed["seen_at"] < first
    assert f"as of {listed['seen_at']}" in ready.ready("maintain", "-l").stdout
    assert "(1 h ago); occopus-maintain -i left looks again" in ready.ready("maintain", "-r", "-i", "left").stdout
    ready.ready("maintain", "-i", "left")
    assert ready.report("left")["web"]["seen_at"] >= first


def test_unknown_costs_are_unknown(ready):
    ready.ready("build", "trial.yaml", "-i", "dear", "--parallelize")
    shown = ready.ready("maintain", "-r", "-i", "dear", "--cost").stdout
    assert "cost so far: unknown" in shown
    report = json.loads(ready.ready("maintain", "-r", "-i", "dear", "--cost", "-o", "json").stdout)
    assert [one["cost"] for node in report.values() for one in node["instances"].values()] == [None] * 3
    assert ready.run("maintain", "-i", "dear", "--cost").code == 2
