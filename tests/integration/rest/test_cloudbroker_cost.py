"""The cost of instances from a provider that reports it, over the REST service."""

from __future__ import annotations

import json

import pytest

from occopus_resource_cloudbroker.testing import DEPLOYMENT, EMAIL, INSTANCE_TYPE, PASSWORD, Platform, Server

pytestmark = pytest.mark.integration


def test_the_cost_of_an_infrastructure(workspace, serve):
    entry = {"type": "cloudbroker", "auth_data": {"email": EMAIL, "password": PASSWORD}}
    auth_data = workspace.write("auth_data.yaml", json.dumps({"resource": [entry]}))
    (workspace.folder / "auth_data.yaml").chmod(0o600)
    described = [{"name": "web", "type": "worker", "scaling": {"min": 2}}, {"name": "db", "type": "worker"}]
    infra = workspace.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "dear", "nodes": described}))
    with Server(Platform()) as cloud:
        description = {"deployment_id": DEPLOYMENT, "instance_type_id": INSTANCE_TYPE}
        resource = {"type": "cloudbroker", "endpoint": cloud.endpoint, "description": description}
        implementation = {"resource": resource, "health_check": {"ping": False}}
        workspace.ready("import", workspace.write("nodes.yaml", json.dumps({"node_def:worker": [implementation]})))
        workspace.ready("build", "--auth_data_path", auth_data, infra, "-i", "dear", "--parallelize")
        with serve(workspace, "--auth_data_path", auth_data) as (_, client):
            cost = client.get("/infrastructures/dear/cost").json
            report = client.get("/infrastructures/dear").json
        reported = workspace.ready("maintain", "-r", "-i", "dear", "--cost", "--auth_data_path", auth_data)
        assert "cost so far: 0.90" in reported.stdout
        assert cost == {
            "totalcost": 0.9,
            "unknown_costs": 0,
            **{name: dict.fromkeys(report[name]["instances"], 0.3) for name in ("web", "db")},
        }
        assert cloud.calls()["costs"] == 6
