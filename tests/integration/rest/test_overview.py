"""Calls of the API for the page."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

pytestmark = pytest.mark.integration


def test_at_a_glance_and_the_graph(served, ready, until):
    assert served.get("/overview").json == {"infrastructures": []}
    infra_id = served.post("/infrastructures/", (ready.folder / "trial.yaml").read_bytes()).json["infraid"]
    path = f"/infrastructures/{infra_id}"
    until(lambda: served.get(f"{path}/outline").json["state"] == "ready")
    (glimpse,) = served.get("/overview").json["infrastructures"]
    created = glimpse.pop("created_at")
    glimpse.pop("maintainer")  # it is recorded within some seconds
    glimpse.pop("seen_at")  # and that within a minute
    assert glimpse == {
        "infraid": infra_id,
        "name": "trial",
        "state": "ready",
        "maintained": True,
        "frozen": "",
        "rolling_back": "",
        "target": 3,
        "instances": {"ready": 3},
        "outdated": 0,
        "unreadable": "",
        "expires_at": None,
    }
    needs = {"db": [], "web": ["db"], "lb": ["web"]}
    nodes = [{"name": name, "type": "worker", "needs": needs[name]} for name in ("db", "web", "lb")]
    outline = served.get(f"{path}/outline").json
    outline.pop("maintainer")
    outline.pop("seen_at")
    assert outline == {**glimpse, "created_at": created, "nodes": nodes}
    assert served.get("/infrastructures/none/outline").status == 404

    served.post(f"{path}/detach")
    until(lambda: (served.get(f"{path}/outline").json["seen_at"] or "") >= created)
    assert served.get(path).json["db"]["seen_at"] >= created
    assert [one["maintained"] for one in served.get("/overview").json["infrastructures"]] == [False]
    assert served.get("/infrastructures/").json == {"infrastructures": []}

    everything = served.get(f"{path}/events").json["events"]
    assert served.get(f"{path}/events?last=2").json["events"] == everything[-2:]
    assert served.get(f"{path}/events?after={everything[1]['id']}&last=100").json["events"] == everything[2:]
    assert served.get(f"{path}/events?last=0").status == 422


SPOILT = {
    "targets": ("targets = 'x'", "Expecting value"),
    "a name that is no text": ("name = CAST(x'ff' AS TEXT)", "bytes stands where str should"),
    "a time": ("created_at = 1e300", "no"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_one_that_is_spoilt_shows_as_itself_and_others_can_be_used(served, ready, spoil, until, what):
    spoilt, well = (served.post("/infrastructures/", (ready.folder / "trial.yaml").read_bytes()).json["infraid"]
                    for _ in range(2))  # fmt: skip
    until(lambda: all(one["state"] == "ready" for one in served.get("/overview").json["infrastructures"]))
    change, reason = SPOILT[what]
    spoil(spoilt, change)
    by_id = {one["infraid"]: one for one in served.get("/overview").json["infrastructures"]}
    assert by_id[spoilt]["unreadable"].startswith(f"the infrastructure '{spoilt}' in the store cannot be read: ")
    assert reason in by_id[spoilt]["unreadable"]
    assert (by_id[well]["unreadable"], by_id[well]["name"]) == ("", "trial")
    assert set(served.get("/infrastructures/").json["infrastructures"]) == {spoilt, well}
    assert served.post(f"/infrastructures/{well}/scaleto/web/2").status == 200
    until(lambda: served.get(f"/infrastructures/{well}/outline").json["instances"] == {"ready": 4})


def test_a_description_that_is_spoilt_is_said_of_it_alone(served, ready, spoil, until):
    spoilt = served.post("/infrastructures/", (ready.folder / "trial.yaml").read_bytes()).json["infraid"]
    until(lambda: served.get(f"/infrastructures/{spoilt}/outline").json["state"] == "ready")
    spoil(spoilt, "description = '{'")
    for path in ("", "/outline", "/plan"):
        answer = served.get(f"/infrastructures/{spoilt}{path}")
        assert answer.status == 500
        assert answer.json["detail"].startswith(f"the infrastructure '{spoilt}' in the store cannot be read: ")
    assert served.get("/readyz").status == served.get("/overview").status == served.get("/metrics").status == 200
    assert served.get("/infrastructures/").json == {"infrastructures": [spoilt]}


@pytest.fixture
def spoil(ready):
    """Changes the row of an infrastructure in a way that Occopus never does."""

    def change(infra_id, how):
        with contextlib.closing(sqlite3.connect(ready.store, timeout=60)) as connection, connection:
            connection.execute(f"UPDATE infrastructures SET {how} WHERE id = ?", (infra_id,))

    return change


def test_who_am_i(ready, serve, new_client):
    with serve(ready) as (_, client):
        assert client.get("/whoami").json == {"name": None, "scope": "write", "infraid": None}
        words = ("token", "create", "--name", "a machine", "--scope", "scale", "--infra", "trial")
        token = ready.ready("rest-service", *words).stdout.strip()
        assert client.get("/whoami").status == 401
        assert new_client(client.base, token).get("/whoami").json == {
            "name": "a machine",
            "scope": "scale",
            "infraid": "trial",
        }
        assert new_client(client.base, token).get("/overview").status == 403
        wrong = new_client(client.base, token[:-1] + ("A" if token[-1] != "A" else "B"))
        assert wrong.get("/whoami").status == 401
