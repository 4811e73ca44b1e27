"""Templates that need too much and pass the rehearsal: the service goes on, restarts, and serves all others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

RECURSIVE = "{% for i in range(99999) recursive %}{% for j in range(99999) recursive %}{% endfor %}{% endfor %}"
INDENTED = "{{ range(99999) | list | tojson(indent=99999) }}"
MOST_MIB = 700
"""Memory of the service: one such template took gigabytes of it."""


def definition(cloud, *bombs):
    """`worker`, and `bomb`, whose template does no harm before the address of `db` is real."""
    nodes = json.loads(cloud.definitions("worker", "bomb"))
    hidden = "".join(f"{{% if getip('db').startswith('127.') %}}{bomb}{{% endif %}}" for bomb in bombs)
    nodes["node_def:bomb"][0]["contextualisation"]["context_template"] = {"hostname": hidden}
    return json.dumps(nodes)


@pytest.fixture
def installed(workspace, cloud):
    """Defines `bomb` with these bombs."""

    def install(*bombs):
        workspace.ready("import", workspace.write("nodes.yaml", definition(cloud, *bombs)))

    install()
    return install


def pair(name):
    nodes = [{"name": "db", "type": "worker"}, {"name": "web", "type": "bomb"}]
    return json.dumps({"user_id": "me", "infra_name": name, "nodes": nodes, "dependencies": [["web", "db"]]})


def mib(process):
    """The most memory that a process has had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak) / 1024


def created(client, body):
    answer = client.post("/infrastructures/", body)
    assert answer.status == 201, answer.text
    return answer.json["infraid"]


def healed(until, client, cloud, infra_id):
    """The only instance of an infrastructure is lost, and another one takes its place."""
    until(lambda: len(cloud.machines(infra_id)) == 1)  # the one that was lost before may still be there
    (before,) = cloud.machines(infra_id)
    cloud.change(before["id"], "fail", "by the test")
    until(lambda: [one for one in cloud.machines(infra_id) if one["state"] == "ready" and one["id"] != before["id"]])
    assert client.get("/healthz").status == 200


@pytest.mark.parametrize("bomb", [RECURSIVE, INDENTED], ids=["time", "memory"])
def test_a_build_with_it_is_undone_and_holds_up_no_other(workspace, cloud, serve, until, describe, installed, bomb):
    installed(bomb)
    with serve(workspace) as (process, client):
        bombed, victim = created(client, pair("bombed")), created(client, describe("db", name="victim"))
        until(lambda: client.get(f"/infrastructures/{bombed}").status == 404)
        until(lambda: [one for one in cloud.machines(victim) if one["state"] == "ready"])
        healed(until, client, cloud, victim)
        assert mib(process) < MOST_MIB
    assert cloud.machines(bombed) == []


def test_an_infrastructure_that_is_cut_off_in_maintenance_is_parked_also_over_restarts(
    workspace, cloud, serve, until, describe, installed
):
    with serve(workspace) as (_, client):
        bombed, victim = created(client, pair("bombed")), created(client, describe("db", name="victim"))
        until(lambda: len(cloud.machines(bombed)) == 2)
        until(lambda: '{state="ready"} 2.0' in client.get("/metrics").text)
        installed(RECURSIVE, INDENTED)
        web = next(one for one in cloud.machines(bombed) if one["owner"]["node_name"] == "web")
        cloud.change(web["id"], "fail", "by the test")
        until(lambda: reason(client, bombed))
        assert "node 'web'" in reason(client, bombed)
        healed(until, client, cloud, victim)
    for _ in range(2):
        with serve(workspace) as (process, client):
            healed(until, client, cloud, victim)
            assert re.search("the template (takes|makes)", reason(client, bombed))
            assert mib(process) < MOST_MIB
    listed = workspace.ready("maintain", "-l").stdout
    assert re.search(rf"^{bombed}\t.*\tparked(\t|$)", listed, re.MULTILINE)
    assert "\nparked: " in workspace.ready("maintain", "-r", "-i", bombed).stdout
    with serve(workspace) as (_, client):
        installed()
        assert client.post(f"/infrastructures/{bombed}/attach").status == 200
        until(lambda: len([one for one in cloud.machines(bombed) if one["state"] == "ready"]) == 2)
        until(lambda: not reason(client, bombed))


def reason(client, infra_id):
    (found,) = [one for one in client.get("/overview").json["infrastructures"] if one["infraid"] == infra_id]
    return found["frozen"] if found["frozen"].startswith("parked: ") else ""
