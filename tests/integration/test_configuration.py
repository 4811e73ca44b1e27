"""The commands with a configuration manager in a separate process, which fails, hangs and is killed."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3

import pytest

from occopus_core.testing.simmanager.process import SimulatedManager

from .conftest import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def manager(tmp_path):
    with SimulatedManager(tmp_path / "manager.json", api_key="manager-key-1234") as manager:
        yield manager


@pytest.fixture
def user(workspace, cloud, manager):
    auth = {"config_management": [{"type": "sim", "auth_data": {"api_key": "manager-key-1234"}}]}
    workspace.environ["OCCOPUS_AUTH_DATA_PATH"] = workspace.write("auth.yaml", json.dumps(auth))
    (workspace.folder / "auth.yaml").chmod(0o600)
    return workspace


def definitions(cloud, manager, **section):
    resource = {"type": "sim", "endpoint": cloud.endpoint, "boot_seconds": 0.05}
    db = {
        "resource": resource,
        "contextualisation": {
            "type": "cloudinit",
            "context_template": {"hostname": "{{ name }}"},
            "attributes": {"port": "{{ variables.port }}"},
        },
        "config_management": {
            "type": "sim",
            "endpoint": manager.endpoint,
            "publish": {"fqdn": "db.example.org"},
            **section,
        },
        "health_check": {"ping": False, "timeout": 60},
    }
    web = {
        **db,
        "contextualisation": {
            "type": "cloudinit",
            "context_template": {"runcmd": ["serve {{ db_port }} {{ db_fqdn }}"]},
        },
        "config_management": {"type": "sim", "endpoint": manager.endpoint, "role": "{{ getip('db') }}"},
    }
    return json.dumps({"node_def:db": [db], "node_def:web": [web]})


def description(port=5432):
    return json.dumps(
        {
            "user_id": "me",
            "infra_name": "pull",
            "variables": {"port": port},
            "nodes": [
                {"name": "db", "type": "db"},
                {"name": "web", "type": "web", "scaling": {"min": 2, "max": 5}},
            ],
            "dependencies": [
                {
                    "connection": ["web", "db"],
                    "mappings": [["port", "db_port"], {"attributes": ["fqdn", "db_fqdn"], "synch": True}],
                }
            ],
        }
    )


def begun(user, cloud, manager, **section):
    user.ready("import", user.write("nodes.yaml", definitions(cloud, manager, **section)))
    user.write("pull.yaml", description())


def test_a_life_cycle_with_mappings_an_update_and_its_plan(user, cloud, manager):
    begun(user, cloud, manager)
    user.ready("build", "pull.yaml", "-i", "pull", "--parallelize")
    nodes = {node["node_name"]: node for node in manager.inventory()["nodes"]}
    assert nodes["web"]["mapped"] == {"db_port": "5432", "db_fqdn": "db.example.org"}
    machines = {machine["id"] for machine in cloud.machines("pull")}
    user.write("pull.yaml", description(port=6432))
    plan = json.loads(user.ready("build", "pull.yaml", "-i", "pull", "--plan", "--output", "json").stdout)
    assert [(step["action"], step["node"]) for step in plan["steps"]] == [
        ("reconfigure", "db"),
        ("reconfigure", "web"),
        ("reconfigure", "web"),
    ]
    user.ready("build", "pull.yaml", "-i", "pull")
    nodes = {node["node_name"]: node for node in manager.inventory()["nodes"]}
    assert nodes["db"]["attributes"] == {"port": "6432"}
    assert nodes["web"]["mapped"]["db_port"] == "6432"
    assert {machine["id"] for machine in cloud.machines("pull")} == machines
    user.ready("destroy", "-i", "pull")
    assert manager.inventory()["nodes"] == []
    assert manager.inventory()["infrastructures"] == []
    assert b"manager-key-1234" not in b"".join(file.read_bytes() for file in user.folder.glob("store.db*"))


OPERATIONS = ["register", "configure", "status", "leave", "forget", "forget_infrastructure"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_in_a_call_that_hangs_nothing_is_left_behind(user, cloud, manager, operation):
    begun(user, cloud, manager, seconds=0.2)
    word = "destroy" if operation in ("leave", "forget", "forget_infrastructure") else "build"
    if word == "destroy":
        user.ready("build", "pull.yaml", "-i", "pull", "--parallelize")
    manager.set_faults([{"kind": "hang", "operation": operation}])
    words = ["-i", "pull"] if word == "destroy" else ["pull.yaml", "-i", "pull", "--parallelize"]
    process = user.start(word, *words)
    before = manager.calls()["total"][operation] if word == "build" else 0
    wait_until(lambda: manager.calls()["total"][operation] > before)
    process.send_signal(signal.SIGKILL)
    user.end(process)
    manager.set_faults([])
    if word == "build":
        user.await_lease("pull")
        user.ready("build", "pull.yaml", "-i", "pull", "--parallelize")
        assert len(manager.inventory()["nodes"]) == 3
    user.ready("destroy", "-i", "pull")
    assert (cloud.machines("pull"), user.rows("pull")) == ([], 0)
    assert (manager.inventory()["nodes"], manager.inventory()["infrastructures"]) == ([], [])


def test_a_manager_that_dies_is_waited_for_and_goes_on(user, cloud, manager):
    begun(user, cloud, manager, seconds=1)
    process = user.start("build", "pull.yaml", "-i", "pull", "--parallelize")
    wait_until(lambda: manager.calls()["total"]["configure"])
    manager.restart()
    assert user.end(process).code == 0
    assert {node["status"]["state"] for node in manager.inventory()["nodes"]} == {"ready"}
    user.ready("destroy", "-i", "pull")


def test_a_manager_unreachable_at_destroy_is_reported_and_swept_later(user, cloud, manager):
    begun(user, cloud, manager)
    user.ready("build", "pull.yaml", "-i", "pull", "--parallelize")
    manager.kill()
    ended = user.ready("destroy", "-i", "pull")
    assert (cloud.machines("pull"), user.rows("pull")) == ([], 0)
    reported = [line for line in ended.stderr.splitlines() if "has not forgotten 3 nodes" in line]
    assert len(reported) == 1
    assert f"configuration manager 'sim {manager.endpoint}'" in reported[0]
    ended = user.run("maintain", "--sweep")
    assert ended.code == 5
    assert f"configuration manager 'sim {manager.endpoint}' cannot list its nodes" in ended.stderr
    manager.start()
    user.ready("maintain", "--sweep")
    assert (manager.inventory()["nodes"], manager.inventory()["infrastructures"]) == ([], [])


def test_what_no_row_knows_is_found_by_the_sweep(user, cloud, manager):
    begun(user, cloud, manager)
    user.ready("build", "pull.yaml", "-i", "pull", "--parallelize")
    with contextlib.closing(sqlite3.connect(user.store)) as connection, connection:
        connection.execute("DELETE FROM configurations WHERE node_name = 'db'")
    ended = user.ready("maintain", "--sweep", "--plan")
    assert "registered: sim" in ended.stdout
    user.ready("maintain", "--sweep")
    assert {node["node_name"] for node in manager.inventory()["nodes"]} == {"web"}
    user.ready("destroy", "-i", "pull")
    assert manager.inventory()["nodes"] == []


def test_a_manager_that_is_gone_for_good_can_be_given_up(user, cloud, manager):
    begun(user, cloud, manager)
    user.ready("build", "pull.yaml", "-i", "pull", "--parallelize")
    manager.kill()
    user.ready("destroy", "-i", "pull")
    assert user.query("SELECT count(*) FROM configurations") == [(3,)]
    user.ready("maintain", "--forget", f"sim {manager.endpoint}")
    assert user.query("SELECT count(*) FROM configurations") == [(0,)]
