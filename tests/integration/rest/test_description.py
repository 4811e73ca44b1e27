"""The description of an infrastructure over REST: read, planned, replaced; by one request, and after a kill."""

from __future__ import annotations

import json
import signal

import pytest
import yaml

pytestmark = pytest.mark.integration

PATH = "/infrastructures/trial/description"


@pytest.fixture
def built(ready, describe):
    """The infrastructure `trial` of one web node, with a secret among its variables."""
    text = {**json.loads(describe("web")), "variables": {"password": "hush-hush", "colour": "red"}}
    ready.ready("build", ready.write("built.yaml", json.dumps(text)), "-i", "trial", "--parallelize")
    return ready


def with_changes(text, **changes):
    return yaml.safe_dump({**yaml.safe_load(text), **changes})


def put(client, body, rest="", **headers):
    return client.call("PUT", f"{PATH}{rest}", body, **headers)


def test_a_plan_names_the_addresses_that_a_kept_node_goes_on_with(ready, cloud, describe, serve):
    definition = json.loads(cloud.definitions("proxy"))
    definition["node_def:proxy"][0]["contextualisation"]["context_template"] = "to {{ getip('web') }}"
    ready.ready("import", ready.write("proxy.yaml", json.dumps(definition)))
    proxy = {"name": "proxy", "type": "proxy"}
    web = {"name": "web", "type": "worker", "variables": {"port": 1}}
    text = {**json.loads(describe("web")), "nodes": [web, proxy], "dependencies": [["proxy", "web"]]}
    ready.ready("build", ready.write("pair.yaml", json.dumps(text)), "-i", "trial", "--parallelize")
    definition = json.loads(cloud.definitions("worker", image="another"))
    ready.ready("import", ready.write("worker.yaml", json.dumps(definition)))
    with serve(ready) as (_, client):
        steps = {one["node"]: one for one in put(client, json.dumps(text), "?dry_run=true").json["steps"]}
    assert steps["web"]["action"] == "replace"
    assert (steps["proxy"]["action"], "made with addresses of web" in steps["proxy"]["reason"]) == ("keep", True)


def is_ready(client):
    return client.get("/infrastructures/trial/outline").json["state"] == "ready"


def test_it_is_read_planned_and_replaced(built, serve, cloud, until, new_token, new_client):
    with serve(built) as (_, client):
        read = client.get(PATH)
        assert (read.status, read.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        tag = read.headers["ETag"]
        nodes = yaml.safe_load(read.text)["nodes"]
        more = with_changes(
            read.text,
            expires="2030-01-01",
            variables={"password": "another-one", "colour": "blue"},
            nodes=[*nodes, {"name": "db", "type": "worker"}],
        )

        before = cloud.calls()["total"].get("create")
        planned = put(client, more, "?dry_run=true", If_Match=tag)
        assert planned.status == 200
        assert {(one["action"], one["node"]) for one in planned.json["steps"]} >= {("create", "db")}
        changes = {one["path"]: one for one in planned.json["changes"]["web"]}
        assert changes["variables.colour"] == {"path": "variables.colour", "before": "'red'", "after": "'blue'"}
        assert changes["variables.password"]["after"] == "(hidden)"
        assert planned.json["infrastructure_changes"] == [{"path": "expires", "before": None, "after": "'2030-01-01'"}]
        assert planned.json["life_time"] == {"before": None, "after": "2030-01-01T00:00:00+00:00"}
        assert "another-one" not in planned.text
        assert client.get(PATH).headers["ETag"] == tag
        assert cloud.calls()["total"].get("create") == before

        answer = put(client, more, If_Match=tag)
        assert (answer.status, answer.json) == (202, {"infraid": "trial"})
        assert client.get(PATH).headers["ETag"] == answer.headers["ETag"] != tag
        until(lambda: is_ready(client))
        assert set(client.get("/infrastructures/trial").json) == {"web", "db"}
        assert client.get("/infrastructures/").json == {"infrastructures": ["trial"]}, "it is maintained from now on"
        created = len(cloud.created)

        again = put(client, more, If_Match=tag)  # as after an answer that was lost
        assert again.status == 202
        until(lambda: is_ready(client))
        assert len(cloud.created) == created
        events = client.get("/infrastructures/trial/events").json["events"]
        updated = [one["text"] for one in events if one["event"] == "infrastructure updated"]
        assert updated == ["", "nothing had to be changed"]

        other = with_changes(more, user_id="other")
        changed = put(client, other, If_Match=tag)
        assert changed.status == 412
        assert changed.json["detail"] == "the description of 'trial' has changed since it was read: read it again"
        assert put(client, other, "?dry_run=true", If_Match='"another"').status == 412
        assert put(client, other, "?dry_run=true", If_Match="*").status == 200

        tag = client.get(PATH).headers["ETag"]
        for rest in ("", "?dry_run=true"):
            assert_mistakes_are_reported(client, rest)
        assert client.get(PATH).headers["ETag"] == tag

        cloud.set_faults([{"kind": "hang", "operation": "delete"}])
        assert client.delete("/infrastructures/trial?wait=false").status == 202
        for rest in ("", "?dry_run=true"):
            refused = put(client, more, rest)
            assert refused.status == 409
            assert "is being destroyed" in refused.json["detail"]

        scaler = new_client(client.base, new_token("scale"))
        answers = [scaler.get(PATH), put(scaler, more), put(scaler, more, "?dry_run=true")]
        assert [one.status for one in answers] == [403] * 3
        assert client.get(PATH).status == 401


def assert_mistakes_are_reported(client, rest):
    bad = "infra_name: trial\nuser_id: me\nnodes:\n- {name: web, typ: worker}\n- {name: db, type: wroker}\n"
    answer = put(client, bad, rest)
    assert answer.status == 422
    assert [one["position"] for one in answer.json["errors"]] == ["request:4:15"]
    unknown = put(client, bad.replace("typ:", "type:"), rest)
    assert unknown.status == 422
    assert "request:5:20" in unknown.json["detail"]
    assert "wroker" in unknown.json["detail"]
    assert put(client, "!!python/object:os.system {}", rest).status == 422


def test_what_was_answered_is_built_though_the_service_is_killed(built, serve, cloud, until):
    """The request is in the store before its answer; nothing is made twice."""
    cloud.set_faults([{"kind": "hang", "operation": "create"}])
    with serve(built) as (process, client):
        read = client.get(PATH)
        more = with_changes(read.text, nodes=[*yaml.safe_load(read.text)["nodes"], {"name": "db", "type": "worker"}])
        assert put(client, more).status == 202
        process.send_signal(signal.SIGKILL)
        process.wait()
    cloud.set_faults([])
    with serve(built) as (_, client):
        until(lambda: is_ready(client))
        assert set(client.get("/infrastructures/trial").json) == {"web", "db"}
        assert len(cloud.machines("trial")) == 2
