"""The REST service as a process: each call of the user guide, old clients, kills, two services on one store."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration

INFRA = "trial"


def states(client, infra_id, node):
    instances = client.get(f"/infrastructures/{infra_id}").json[node]["instances"].values()
    return [instance["state"] for instance in instances]


def created(client, body):
    answer = client.post("/infrastructures/", body)
    assert answer.status == 201, answer.text
    assert answer.headers["Location"] == f"/infrastructures/{answer.json['infraid']}"
    return answer.json["infraid"]


def built(client, until, body):
    infra_id = created(client, body)
    until(lambda: all(states(client, infra_id, node) == ["ready"] for node in ("db", "web", "lb")))
    return infra_id


def test_every_call_of_the_user_guide(served, ready, cloud, until):
    infra_id = built(served, until, (ready.folder / "trial.yaml").read_bytes())
    path = f"/infrastructures/{infra_id}"
    assert served.get("/infrastructures/").json == {"infrastructures": [infra_id]}

    up = {"infraid": infra_id, "method": "scaleup", "nodename": "web", "count": 1}
    assert served.post(f"{path}/scaleup/web").json == {**up, "result": "1 -> 2"}
    until(lambda: states(served, infra_id, "web") == ["ready", "ready"])
    report = served.get(path).json["web"]
    assert {key: report["scaling"][key] for key in ("actual", "target", "min", "max")} == {
        "actual": 2,
        "target": 2,
        "min": 1,
        "max": 2,
    }
    # an alert that fires again and again stops at the limit, without an error
    assert served.post(f"{path}/scaleup/web/5").json == {**up, "count": 5, "result": "2 -> 2 (the maximum is 2)"}

    node_id, instance = next(iter(report["instances"].items()))
    assert instance["resource_address"]
    down = {"infraid": infra_id, "method": "scaledown", "nodename": "web", "nodeid": node_id}
    assert served.post(f"{path}/scaledown/web/{node_id}").json == {**down, "result": "2 -> 1"}
    until(lambda: served.get(path).json["web"]["scaling"]["actual"] == 1)
    assert node_id not in served.get(path).json["web"]["instances"]

    to = {"infraid": infra_id, "method": "scaleto", "nodename": "web", "count": 2}
    assert served.post(f"{path}/scaleto/web/2").json == {**to, "result": "1 -> 2"}
    until(lambda: states(served, infra_id, "web") == ["ready", "ready"])
    down = {**up, "method": "scaledown", "nodeid": None, "result": "2 -> 1"}
    assert served.post(f"{path}/scaledown/web").json == down
    until(lambda: states(served, infra_id, "web") == ["ready"])

    for _ in range(2):
        assert served.post(f"{path}/detach").json == {"infraid": infra_id}
    assert served.get("/infrastructures/").json == {"infrastructures": []}
    for _ in range(2):
        assert served.post(f"{path}/attach").json == {"infraid": infra_id}

    cost = served.get(f"{path}/cost").json
    assert cost["totalcost"] is None
    assert list(cost["web"]) == list(served.get(path).json["web"]["instances"])
    steps = served.get(f"{path}/plan").json["steps"]
    assert {step["action"] for step in steps} == {"keep"}
    kinds = [event["event"] for event in served.get(f"{path}/events").json["events"]]
    assert kinds[0] == "infrastructure created"
    assert "infrastructure ready" in kinds

    gone = served.delete(path)
    assert (gone.status, gone.json) == (200, {"infraid": infra_id})
    assert cloud.machines(infra_id) == []
    assert served.get(path).status == 404
    assert [event["event"] for event in served.get(f"{path}/events").json["events"]][-1] == "infrastructure dropped"


def test_clients_that_build_beside_the_service(served, ready, until):
    ready.ready("build", "trial.yaml", "-i", INFRA, "--parallelize")
    for _ in range(2):
        assert served.post(f"/infrastructures/{INFRA}/attach").status == 200
    served.post(f"/infrastructures/{INFRA}/scaleto/web/2")
    until(lambda: served.get(f"/infrastructures/{INFRA}").json["web"]["scaling"]["target"] == 2)
    until(lambda: states(served, INFRA, "web") == ["ready", "ready"])
    instance = next(iter(served.get(f"/infrastructures/{INFRA}").json["web"]["instances"].values()))
    served.post(f"/infrastructures/{INFRA}/scaledown/web/{instance['resource_address']}")
    until(lambda: states(served, INFRA, "web") == ["ready"])
    assert served.call("DELETE", f"/infrastructures/{INFRA}?wait=false").status == 202
    until(lambda: served.get(f"/infrastructures/{INFRA}").status == 404)


def test_mistakes_are_answered_with_all_that_is_known(served):
    unknown = served.get("/infrastructures/nobody")
    assert (unknown.status, unknown.headers["Content-Type"]) == (404, "application/problem+json")
    assert unknown.json["reason"] == "Not Found"
    assert "nobody" in unknown.json["message"]
    wrong = served.post("/infrastructures/", "infra_name: a.b\nnodes:\n- name: web\n")
    assert wrong.status == 422
    assert len(wrong.json["errors"]) == 2
    assert all(re.fullmatch(r"request:\d+:\d+", error["position"]) for error in wrong.json["errors"])
    unbuildable = served.post("/infrastructures/", "infra_name: a\nuser_id: me\nnodes: [{name: w, type: wroker}]\n")
    assert unbuildable.status == 422
    assert "worker" in unbuildable.json["errors"][0]["message"]
    assert served.get("/infrastructures/").json == {"infrastructures": []}


def test_a_request_with_a_key_has_its_effect_once(served, ready, until):
    body = (ready.folder / "trial.yaml").read_bytes()
    answers = [served.post("/infrastructures/", body, Idempotency_Key="one") for _ in range(3)]
    assert {answer.status for answer in answers} == {201}
    (infra_id,) = {answer.json["infraid"] for answer in answers}
    assert served.get("/infrastructures/").json == {"infrastructures": [infra_id]}
    other = served.post("/infrastructures/", body + b"\n", Idempotency_Key="one")
    assert other.status == 422


def test_a_stream_of_events_tells_them_as_they_happen(served, ready):
    infra_id = created(served, (ready.folder / "trial.yaml").read_bytes())
    request = urllib.request.Request(
        f"{served.base}/infrastructures/{infra_id}/events", headers={"Accept": "text/event-stream"}
    )
    ids = []
    with urllib.request.urlopen(request, timeout=LONGEST) as stream:
        for line in stream:
            ids += [int(line.split()[1])] if line.startswith(b"id:") else []
            if line == b"event: infrastructure ready\n":
                break
    assert ids == sorted(ids)
    rest = served.get(f"/infrastructures/{infra_id}/events", Last_Event_ID=str(ids[-1])).json["events"]
    assert all(event["id"] > ids[-1] for event in rest)


def test_what_operators_look_at(served, ready, until):
    built(served, until, (ready.folder / "trial.yaml").read_bytes())
    assert served.get("/healthz").json == {"status": "alive"}
    assert served.get("/readyz").json == {"status": "ready"}
    # Its nodes are ready a moment before the build has ended.
    until(lambda: 'occopus_infrastructures{state="ready"} 1.0' in served.get("/metrics").text)
    text = served.get("/metrics").text
    assert 'occopus_instances{stage="ready"} 3.0' in text
    until(lambda: re.search(r'occopus_pass_seconds_count\{outcome="ok"\} [1-9]', served.get("/metrics").text))
    answer = served.get("/healthz", X_Request_Id="mine")
    assert answer.headers["X-Request-Id"] == "mine"
    # The line is written when the client has its answer.
    until(lambda: re.search(r'"request": "mine".*"path": "/healthz", "status": 200', served.process.said.read_text()))


def test_alerts_scale_once_in_a_while(served, ready, until):
    infra_id = built(served, until, (ready.folder / "trial.yaml").read_bytes())
    alert = {"status": "firing", "labels": {"node": "web", "scale": "up"}}
    other = {"status": "firing", "labels": {"node": "web", "scale": "up", "alertname": "Slow"}}
    body = json.dumps({"version": "4", "alerts": [alert, alert, other, {**alert, "status": "resolved"}]})
    answer = served.post(f"/infrastructures/{infra_id}/alerts", body, Content_Type="application/json")
    repeated = "ignored: this alert has scaled the node lately"
    assert answer.json["results"] == ["scaled up", repeated, "scaled up", "ignored: not firing"]
    # A group is sent again when any alert of it changes: each has its own cool-down.
    answer = served.post(f"/infrastructures/{infra_id}/alerts", body, Content_Type="application/json")
    assert answer.json["results"] == [repeated, repeated, repeated, "ignored: not firing"]
    text = served.get("/metrics").text
    assert 'occopus_alerts_total{outcome="scaled"} 2.0' in text
    assert 'occopus_alerts_total{outcome="ignored"} 6.0' in text
    until(lambda: "alert for" in served.process.said.read_text())
    served.post(f"/infrastructures/{infra_id}/scaledown/web")
    fresh = json.dumps({"alerts": [{"status": "firing", "labels": {"node": "web", "scale": "up", "alertname": "New"}}]})
    answer = served.post(f"/infrastructures/{infra_id}/alerts", fresh, Content_Type="application/json")
    assert answer.json["results"] == ["ignored: another request has scaled the node lately"]


def test_a_port_that_is_taken_is_said_in_a_line(served, ready):
    port = served.base.rpartition(":")[2]
    ended = ready.run("rest-service", "--port", port)
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr == f"error: port {port} of 127.0.0.1 is taken: choose another with --port\n"


def test_the_example_walks_through_it(ready, serve):
    script = Path(__file__).parents[3] / "examples" / "rest" / "walk.sh"
    with serve(ready) as (_, client):
        ended = subprocess.run(
            [script, ready.folder / "trial.yaml", "web"],
            env={**os.environ, "OCCOPUS_URL": client.base},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert ended.returncode == 0, ended
        created, *_, gone = ended.stdout.splitlines()
        assert json.loads(gone) == {"infraid": created.split()[1]}
        assert client.get("/infrastructures/").json == {"infrastructures": []}


def test_the_documented_call_stores_the_example(ready, serve):
    root = Path(__file__).parents[3]
    call = re.search(
        r"^curl -X PUT .*/node_definitions/.*$", (root / "docs" / "rest.md").read_text("utf-8"), re.MULTILINE
    )[0]
    with serve(ready, "--endpoint", "unix:///var/run/docker.sock") as (_, client):
        words = shlex.split(call.replace("http://127.0.0.1:5000", client.base))
        ended = subprocess.run(
            [*words, "--silent", "--show-error"], cwd=root, capture_output=True, text=True, timeout=LONGEST, check=True
        )
        assert json.loads(ended.stdout) == {"node_definitions": ["rest_web"]}
        assert client.get("/node_definitions/rest_web").json["implementations"][0]["resource"] == "docker"


def test_a_node_definition_in_use_is_not_deleted(ready, serve):
    ready.ready("build", "trial.yaml", "-i", "trial", "--parallelize")
    with serve(ready) as (_, client):
        listed = client.get("/node_definitions/").json
        assert listed["node_definitions"] == list(listed["used_by"])
        used = [name for name, users in listed["used_by"].items() if users == ["trial"]]
        assert used
        assert client.get(f"/node_definitions/{used[0]}").json["used_by"] == ["trial"]
        refused = client.call("DELETE", f"/node_definitions/{used[0]}")
        assert (refused.status, refused.json["detail"]) == (
            409,
            f"the node definition '{used[0]}' is used by trial",
        )
        ready.ready("destroy", "-i", "trial")
        assert client.call("DELETE", f"/node_definitions/{used[0]}").status == 204
        assert client.call("DELETE", f"/node_definitions/{used[0]}").status == 404
        assert client.get(f"/node_definitions/{used[0]}").status == 404


def test_prometheus_needs_a_token_that_reads_all(ready, serve):
    def token(*words):
        return ready.run("rest-service", "token", "create", "--name", "p", *words).stdout.split()[-1]

    all_of_it, one = token("--scope", "read"), token("--scope", "read", "--infra", INFRA)
    with serve(ready) as (_, client):
        given = {name: client.get("/metrics", Authorization=f"Bearer {name}").status for name in (all_of_it, one)}
        assert (client.get("/metrics").status, given) == (401, {all_of_it: 200, one: 403})


def test_a_plan_has_the_scaling_that_waits_within_its_limits(served, ready, until):
    infra_id = built(served, until, (ready.folder / "trial.yaml").read_bytes())
    path = f"/infrastructures/{infra_id}"
    assert served.post(f"{path}/detach").status == 200
    (node_id,) = served.get(path).json["web"]["instances"]
    most = served.get(path).json["web"]["scaling"]["max"]

    def planned():
        steps = served.get(f"{path}/plan").json["steps"]
        return sorted(step["action"] for step in steps if step["node"] == "web")

    assert planned() == ["keep"]
    assert served.post(f"{path}/scaleup/web/99").status == 200
    assert planned() == ["create"] * (most - 1) + ["keep"]
    assert served.post(f"{path}/scaledown/web/{node_id}").status == 200
    assert planned() == ["create"] * (most - 1) + ["destroy"]
    assert list(served.get(path).json["web"]["instances"]) == [node_id]


def test_what_is_being_destroyed_is_planned_as_that_and_not_scaled(served, ready, cloud, until):
    infra_id = built(served, until, (ready.folder / "trial.yaml").read_bytes())
    path = f"/infrastructures/{infra_id}"
    cloud.set_faults([{"kind": "permanent", "operation": "delete"}])
    assert served.call("DELETE", f"{path}?wait=false").status == 202
    for call in ("scaleup/web/1", "nodes/web/replace"):
        refused = served.post(f"{path}/{call}")
        assert refused.status == 409
        assert "is being destroyed" in refused.json["detail"]
    alert = {"status": "firing", "labels": {"node": "web", "scale": "up"}}
    answer = served.post(f"{path}/alerts", json.dumps({"alerts": [alert]}), Content_Type="application/json")
    (result,) = answer.json["results"]
    assert result.startswith(f"ignored: the infrastructure '{infra_id}' is being destroyed")
    assert {step["action"] for step in served.get(f"{path}/plan").json["steps"]} == {"destroy"}
    cloud.set_faults([])
    until(lambda: served.get(path).status == 404)
