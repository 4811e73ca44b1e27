"""The output of instances by REST: limits, scopes, and a provider that does not answer."""

from __future__ import annotations

import threading

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def printing(ready, cloud):
    ready.ready(
        "import", ready.write("nodes.yaml", cloud.definitions("worker", output="first\nsecond\x1b[0m\nthird\n"))
    )
    return ready


def built(client, workspace, until):
    infra_id = client.post("/infrastructures/", (workspace.folder / "trial.yaml").read_bytes()).json["infraid"]
    until(lambda: client.get(f"/infrastructures/{infra_id}/outline").json["state"] == "ready")
    (node_id,) = client.get(f"/infrastructures/{infra_id}").json["web"]["instances"]
    return infra_id, f"/infrastructures/{infra_id}/nodes/{node_id}/logs"


def test_the_last_lines_of_an_instance(printing, serve, until):
    with serve(printing) as (_, client):
        infra_id, logs = built(client, printing, until)
        answer = client.get(logs)
        assert answer.status == 200
        said = answer.json
        assert (said["lines"], said["available"], said["detail"]) == (["first", "second", "third"], True, "")
        assert (said["infraid"], said["nodename"]) == (infra_id, "web")
        assert (said["kept_at"], said["failed_job"]) == (None, None)
        assert client.get(f"{logs}?lines=1").json["lines"] == ["third"]
        assert client.get(f"{logs}?lines=0").status == 422
        assert client.get(f"{logs}?lines=1001").status == 422
        assert client.get(f"/infrastructures/{infra_id}/nodes/web/logs").status == 404
        assert client.get("/infrastructures/none/nodes/x/logs").status == 404


def test_a_slow_provider_holds_up_no_other_request(printing, cloud, serve, until):
    with serve(printing) as (_, client):
        _, logs = built(client, printing, until)
        cloud.set_faults([{"kind": "hang", "operation": "logs"}])
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(client.get(logs)), daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        until(lambda: cloud.calls()["most_at_once"] >= 1)
        assert client.get("/overview").status == 200
        assert answers == [], "those who asked the provider wait on"
        cloud.set_faults([])
        for thread in threads:
            thread.join(200)
        assert {answer.status for answer in answers} <= {200, 502}


def test_a_provider_that_refuses_is_a_problem(printing, cloud, serve, until):
    with serve(printing) as (_, client):
        _, logs = built(client, printing, until)
        cloud.set_faults([{"kind": "permanent", "operation": "logs", "reason": "not allowed"}])
        answer = client.get(logs)
        assert answer.status == 502
        assert "not allowed" in answer.json["detail"]


def test_a_token_of_another_infrastructure_reads_nothing(printing, serve, new_client, new_token, until):
    write, other = new_token("write"), new_token("read", "--infra", "other")
    with serve(printing) as (_, client):
        _, logs = built(new_client(client.base, write), printing, until)
        assert new_client(client.base, other).get(logs).status == 403
        assert client.get(logs).status == 401
