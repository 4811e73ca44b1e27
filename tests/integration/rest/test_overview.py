"""What the page asks of the API beyond what scripts do."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


def test_at_a_glance_and_the_graph(served, ready, until):
    assert served.get("/overview").json == {"infrastructures": []}
    infra_id = served.post("/infrastructures/", (ready.folder / "trial.yaml").read_bytes()).json["infraid"]
    path = f"/infrastructures/{infra_id}"
    until(lambda: served.get(f"{path}/outline").json["state"] == "ready")
    (glimpse,) = served.get("/overview").json["infrastructures"]
    created = glimpse.pop("created_at")
    assert glimpse == {
        "infraid": infra_id,
        "name": "trial",
        "state": "ready",
        "maintained": True,
        "frozen": "",
        "target": 3,
        "instances": {"ready": 3},
    }
    needs = {"db": [], "web": ["db"], "lb": ["web"]}
    nodes = [{"name": name, "type": "worker", "needs": needs[name]} for name in ("db", "web", "lb")]
    assert served.get(f"{path}/outline").json == {**glimpse, "created_at": created, "nodes": nodes}
    assert served.get("/infrastructures/none/outline").status == 404

    served.post(f"{path}/detach")
    assert [one["maintained"] for one in served.get("/overview").json["infrastructures"]] == [False]
    assert served.get("/infrastructures/").json == {"infrastructures": []}

    everything = served.get(f"{path}/events").json["events"]
    assert served.get(f"{path}/events?last=2").json["events"] == everything[-2:]
    assert served.get(f"{path}/events?after={everything[1]['id']}&last=100").json["events"] == everything[2:]
    assert served.get(f"{path}/events?last=0").status == 422


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
