"""Work in progress is finished, once: after kills at any moment, and by several services on one store."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import sqlite3
import threading
from collections import Counter

import pytest

pytestmark = pytest.mark.integration

BUILDS = 20
NODES = ("db", "web", "lb")
EDGES = [("web", "db"), ("lb", "web")]


@pytest.fixture
def slow(workspace, cloud):
    """A workspace whose nodes take two calls to make and a while to boot."""
    workspace.ready("import", workspace.write("nodes.yaml", cloud.definitions("worker", boot_seconds=0.5, steps=2)))
    return workspace


def created(client, body):
    answer = client.post("/infrastructures/", body)
    assert answer.status == 201, answer.text
    return answer.json["infraid"]


def calls_to(cloud, operation):
    return [entry for entry in cloud.log() if entry["operation"] == operation]


def tokens_of_creations(cloud):
    return [token for entry in calls_to(cloud, "create") for token in entry["tokens"]]


def are_ready(client, count):
    return f'occopus_infrastructures{{state="ready"}} {count}.0' in client.get("/metrics").text


@pytest.mark.parametrize("seed", [1])
def test_twenty_builds_end_although_the_service_is_killed_three_times(slow, cloud, serve, until, describe, seed):
    rng, total = random.Random(seed), BUILDS * len(NODES)
    moments = sorted(rng.sample(range(1, total - 5), 3))
    with serve(slow) as (process, client):
        bodies = [describe(*NODES, edges=EDGES, name=f"trial{number}") for number in range(BUILDS)]
        ids = [created(client, body) for body in bodies]
    for moment in moments:
        with serve(slow) as (process, client):
            until(lambda: len(set(tokens_of_creations(cloud))) >= moment)  # noqa: B023  # it is over when the loop goes on
            process.send_signal(signal.SIGKILL)
            process.wait()
    with serve(slow) as (process, client):
        until(lambda: are_ready(client, BUILDS))
        assert sorted(client.get("/infrastructures/").json["infrastructures"]) == sorted(ids)
        assert calls_to(cloud, "delete") == [], "nothing was made in vain"
        assert len(cloud.inventory()) == total
        assert len(set(tokens_of_creations(cloud))) == total, "nothing was asked for under two tokens"
        for infra_id in ids:
            assert Counter(one["owner"]["node_name"] for one in cloud.machines(infra_id)) == dict.fromkeys(NODES, 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 0


def test_two_services_share_the_work_and_do_nothing_twice(ready, serve, cloud, until, describe):
    with serve(ready) as (first, one), serve(ready) as (_, other):
        ids = [created(client, describe("db", name=f"trial{n}")) for n in range(6) for client in (one, other)]
        until(lambda: are_ready(one, len(ids)))
        for client in (one, other):
            found = re.search(r'occopus_events_total\{kind="node creating"\} (\d+)', client.get("/metrics").text)
            assert found
            assert int(found[1]) > 0, "each did its share"
        # Requests while both run: the service with its share applies each of them, once.
        for infra_id in ids:
            one.post(f"/infrastructures/{infra_id}/scaleup/db")
        until(lambda: all(len(cloud.machines(infra_id)) == 2 for infra_id in ids))
        creations = Counter(tokens_of_creations(cloud))
        assert len(creations) == 2 * len(ids)
        assert set(creations.values()) == {1}, "nothing was asked for twice"
        assert calls_to(cloud, "delete") == []
        first.kill()
        other.post(f"/infrastructures/{ids[0]}/scaleto/db/1")
        until(lambda: len(cloud.machines(ids[0])) == 1)
        with contextlib.closing(sqlite3.connect(ready.store)) as connection:
            (waiting,) = connection.execute("SELECT count(*) FROM scale_requests WHERE applied_at IS NULL").fetchone()
        assert waiting == 0


def test_a_replacement_that_was_requested_before_a_kill_is_made_once(ready, serve, cloud, until, describe):
    key = {"Idempotency_Key": "once"}
    with serve(ready) as (process, client):
        infra_id = created(client, describe("db", "web", edges=[("web", "db")]))
        until(lambda: are_ready(client, 1))
        path = f"/infrastructures/{infra_id}"
        assert client.post(f"{path}/detach").status == 200
        before = ids_of(client, path)
        answer = client.post(f"{path}/nodes/web/replace", **key)
        assert (answer.status, answer.json) == (200, {"infraid": infra_id, "method": "replace", "nodename": "web"})
        assert client.get(path).json["web"]["scaling"]["pending"][0]["kind"] == "replace"
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serve(ready) as (_, client):
        assert client.post(f"{path}/nodes/web/replace", **key).json == answer.json
        actions = {step["node"]: step["action"] for step in client.get(f"{path}/plan").json["steps"]}
        assert actions == {"db": "keep", "web": "replace"}
        assert client.post(f"{path}/attach").status == 200
        until(lambda: len(ids_of(client, path)["web"] - before["web"]) == len(ids_of(client, path)["web"]) == 1)
        assert ids_of(client, path)["db"] == before["db"]
        events = [one["event"] for one in client.get(f"{path}/events").json["events"]]
        assert [one for one in events if one.startswith("replacement")] == [
            "replacement requested",
            "replacement done",
        ]
        assert len(set(tokens_of_creations(cloud))) == 3


def ids_of(client, path):
    return {name: set(node["instances"]) for name, node in client.get(path).json.items()}


def test_sigterm_drains(ready, serve, cloud, until, describe):
    """Requests that wait are answered, readiness ends first, and the next service carries on at once."""
    cloud.set_faults([{"kind": "latency", "operation": "delete", "seconds": 20}])
    with serve(ready) as (process, client):
        infra_id = created(client, describe("db"))
        until(lambda: are_ready(client, 1))
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(client.delete(f"/infrastructures/{infra_id}")))
        waiting.start()
        until(lambda: calls_to(cloud, "delete") or "shutdown" in client.get(f"/infrastructures/{infra_id}").text)
        process.send_signal(signal.SIGTERM)
        waiting.join(600)
        assert [(answer.status, answer.json) for answer in answers] == [(202, {"infraid": infra_id})]
        assert process.wait(600) == 0
        lines = [line for line in process.said.read_text().splitlines() if not line.startswith("{")]
        assert not [line for line in lines if "Traceback" in line or "error" in line.lower()], lines
    cloud.set_faults([])
    with serve(ready) as (_, client):
        until(lambda: client.get(f"/infrastructures/{infra_id}").status == 404)
    assert cloud.machines(infra_id) == []


def test_an_unavailable_store_is_reported_and_waited_for(ready, serve, until, describe):
    with serve(ready) as (process, client):
        infra_id = created(client, describe("db"))
        until(lambda: are_ready(client, 1))
        rename(ready, "installation", "infrastructures", to="{}_away")
        assert client.get("/readyz").status == 503
        for method, path in (("GET", f"/infrastructures/{infra_id}"), ("POST", f"/infrastructures/{infra_id}/attach")):
            answer = client.call(method, path)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert answer.json["message"] == "the store cannot be used at present"
            assert str(ready.store) not in answer.text
        until(lambda: "cannot be used" in process.said.read_text())
        assert client.get("/healthz").status == 200, "to be restarted would not help"
        rename(ready, "installation_away", "infrastructures_away", to="{}")
        until(lambda: client.get("/readyz").status == 200)
        assert client.post(f"/infrastructures/{infra_id}/scaleto/db/2").status == 200
        until(lambda: client.get(f"/infrastructures/{infra_id}").json["db"]["scaling"]["actual"] == 2)


def rename(workspace, *names, to):
    with contextlib.closing(sqlite3.connect(workspace.store, timeout=60, isolation_level=None)) as connection:
        connection.execute("PRAGMA legacy_alter_table=ON")  # leave tables with references alone
        for name in names:
            connection.execute(f"ALTER TABLE {name} RENAME TO {to.format(name.removesuffix('_away'))}")
