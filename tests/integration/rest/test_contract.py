"""The answers that clients of Occopus 1.x expect, field by field, from a plain HTTP client."""

from __future__ import annotations

import json
import ssl

import pytest
import trustme

pytestmark = pytest.mark.integration

INFRA = "any.id-of_a-client"
PATH = f"/infrastructures/{INFRA}"
FORM = {"Content_Type": "application/x-www-form-urlencoded"}
COUNTED = {"infraid": INFRA, "nodename": "web"}


@pytest.fixture(scope="module")
def client(tmp_path_factory, cloud_process, new_workspace, describe, serve):
    """A service, and an infrastructure that was built beside it under an id of the client's own."""
    cloud_process.reset()
    workspace = new_workspace(tmp_path_factory.mktemp("contract"))
    workspace.ready("import", workspace.write("nodes.yaml", cloud_process.definitions("worker")))
    workspace.ready("build", workspace.write("trial.yaml", describe("web")), "-i", INFRA, "--parallelize")
    with serve(workspace) as (process, client):
        client.process = process
        yield client


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("scaleup/web", {**COUNTED, "method": "scaleup", "count": 1}),
        ("scaleup/web/7", {**COUNTED, "method": "scaleup", "count": 7}),
        ("scaleto/web/1", {**COUNTED, "method": "scaleto", "count": 1}),
        ("scaledown/web", {**COUNTED, "method": "scaledown", "count": 1, "nodeid": None}),
        ("scaledown/web/10.0.0.1", {**COUNTED, "method": "scaledown", "nodeid": "10.0.0.1"}),
        ("attach", {"infraid": INFRA}),
        ("detach", {"infraid": INFRA}),
    ],
)
def test_calls_without_a_body(client, call, answer):
    """Relative scaling that goes beyond the limits, again and again, is answered like any other."""
    for _ in range(3):
        given = client.post(f"{PATH}/{call}", **FORM)
        said = {key: value for key, value in given.json.items() if key != "result"}  # 1.x did not have it
        assert (given.status, given.headers["Content-Type"], said) == (200, "application/json", answer)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", "text/plain", "x"])
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_description_is_read_whatever_its_type_is_said_to_be(client, describe, content_type, form):
    body = (
        describe("web") if form == "json" else "user_id: me\ninfra_name: trial\nnodes:\n- {name: web, type: worker}\n"
    )
    answer = client.post("/infrastructures/", body, Content_Type=content_type)
    assert answer.status == 201
    infra_id = answer.json["infraid"]
    assert answer.json == {"infraid": infra_id}
    assert answer.headers["Location"] == f"/infrastructures/{infra_id}"
    gone = client.call("DELETE", f"/infrastructures/{infra_id}")
    assert (gone.status, gone.json) == (200, {"infraid": infra_id})
    assert client.get(f"/infrastructures/{infra_id}").status == 404


def test_a_report(client):
    report = client.get(PATH).json
    ((node_id, instance),) = report["web"]["instances"].items()
    assert set(instance) >= {"resource_address", "state"}
    assert (instance["state"], bool(instance["resource_address"])) == ("ready", True)
    scaling = report["web"]["scaling"]
    assert {key: scaling[key] for key in ("actual", "target", "min", "max")} == {
        "actual": 1,
        "target": 1,
        "min": 1,
        "max": 2,
    }
    assert client.get(f"{PATH}/cost").json == {"totalcost": None, "unknown_costs": 1, "web": {node_id: None}}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *((method, path.format("nobody"), 404) for method, path in (
            ("GET", "/infrastructures/{}"), ("DELETE", "/infrastructures/{}"), ("GET", "/infrastructures/{}/cost"),
            ("GET", "/infrastructures/{}/plan"), ("GET", "/infrastructures/{}/events"),
            ("POST", "/infrastructures/{}/attach"), ("POST", "/infrastructures/{}/detach"),
            ("POST", "/infrastructures/{}/scaleup/web"), ("POST", "/infrastructures/{}/scaleto/web/1"),
            ("POST", "/infrastructures/{}/nodes/web/replace"),
        )),
        ("POST", f"{PATH}/scaleup/nobody", 404),
        ("POST", f"{PATH}/scaledown/nobody/1", 404),
        ("POST", f"{PATH}/nodes/nobody/replace", 404),
        ("POST", f"{PATH}/scaleto/web/many", 422),
        ("PATCH", PATH, 405),
        ("GET", "/nowhere", 404),
        ("GET", "/info/infrastructure.list", 404),
    ],
)  # fmt: skip
def test_problems_say_what_they_are_in_the_words_of_now_and_of_old(client, method, path, status):
    answer = client.call(method, path)
    reported = answer.json
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (reported["status"], reported["status_code"], reported["type"]) == (status, status, "about:blank")
    assert reported["reason"] == reported["title"]
    assert reported["message"] == reported["detail"]
    if status == 405:
        assert answer.headers["Allow"] == "DELETE, GET"


def test_the_information_broker_of_1x_is_refused_with_what_to_ask(client):
    reported = client.get("/info/node.find_one").json
    assert (
        reported["message"]
        == "there is no information broker for 'node.find_one': ask GET /infrastructures/ID or .../events"
    )


def test_a_scaling_request_with_a_key_counts_once(client):
    before = len(requested(client))
    for _ in range(3):
        assert client.post(f"{PATH}/scaleup/web", Idempotency_Key="once").status == 200
    assert len(requested(client)) == before + 1
    assert client.post(f"{PATH}/scaledown/web", Idempotency_Key="once").status == 422


def requested(client):
    return [one for one in client.get(f"{PATH}/events").json["events"] if one["event"] == "scale requested"]


def test_events_come_in_portions(client):
    everything = client.get(f"{PATH}/events").json["events"]
    first = client.get(f"{PATH}/events?limit=2").json["events"]
    assert first == everything[:2]
    assert client.get(f"{PATH}/events?limit=2&after={first[-1]['id']}").json["events"] == everything[2:4]


def test_what_alertmanager_sends(client):
    labels = {"alertname": "HighLoad", "instance": "10.0.0.1:9100", "severity": "page", "node": "web", "scale": "up"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "load is high"},
        "startsAt": "2026-01-31T12:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
        "fingerprint": "8a1f0f2a5f8a1b2c",
    }
    payload = {
        "receiver": "occopus",
        "status": "firing",
        "alerts": [alert, {**alert, "labels": {**labels, "node": "nobody"}}, {**alert, "status": "resolved"}],
        "groupLabels": {"alertname": "HighLoad"},
        "commonLabels": labels,
        "commonAnnotations": {"summary": "load is high"},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{alertname="HighLoad"}',
        "truncatedAlerts": 0,
    }
    answer = client.post(f"{PATH}/alerts?cooldown=0", json.dumps(payload), Content_Type="application/json")
    scaled, unknown, resolved = answer.json["results"]
    assert (scaled, resolved) == ("scaled up", "ignored: not firing")
    assert "has no node 'nobody'" in unknown


def test_metrics(client, describe, until):
    made = client.post("/infrastructures/", describe("web")).json["infraid"]
    until(lambda: 'occopus_events_total{kind="node ready"}' in client.get("/metrics").text)
    client.post(f"{PATH}/attach")
    until(lambda: 'occopus_pass_seconds_count{outcome="ok"}' in client.get("/metrics").text)
    text = client.get("/metrics").text
    client.call("DELETE", f"/infrastructures/{made}")
    for line in ('occopus_call_seconds_bucket{le="0.1",outcome="ok"}', 'occopus_call_seconds_sum{outcome="ok"}',
                 'occopus_instances{stage="ready"}', 'occopus_events_total{kind="node creating"}'):  # fmt: skip
        assert line in text
    assert INFRA not in text, "labels are few"


def test_errors_of_providers_are_counted_by_class(client, cloud_process, until):
    cloud_process.set_faults([{"kind": "error_500"}])
    try:
        until(lambda: 'occopus_call_seconds_count{outcome="TransientError"}' in client.get("/metrics").text)
    finally:
        cloud_process.set_faults([])


def test_tls(ready, serve, monkeypatch):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = ready.folder / "certificate.pem", ready.folder / "key.pem"
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    with serve(ready, "--certificate", str(certificate), "--key", str(key)) as (_, client):
        assert client.base.startswith("https://")
        monkeypatch.setattr("ssl._create_default_https_context", lambda: trusted)
        assert client.get("/healthz").json == {"status": "alive"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--certificate", "none.pem", "--key", "none.pem"], "none.pem"),
        (["--certificate", "none.pem"], "--certificate and --key go together"),
    ],
)
def test_certificates_that_cannot_be_used(ready, options, said):
    ended = ready.run("rest-service", "--port", "0", *options)
    assert ended.code == 2
    assert said in ended.complaint[-1]
