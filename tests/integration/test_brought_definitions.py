"""A build with `--nodes` that fails, with real commands: what runs is healed and scaled as before."""

from __future__ import annotations

import json
import signal

import pytest

from .conftest import wait_until

pytestmark = pytest.mark.integration

COMMANDS = {
    "good": "exec sleep 3001",
    "bad": "echo cannot start >&2; exit 3",
    "gated": "until [ -e '{gate}' ]; do sleep 0.1; done; exit 3",
}


@pytest.fixture
def local(workspace):
    """An infrastructure `shop` with one node on this machine, made by `good.yaml`. The others make none that works."""
    for name, command in COMMANDS.items():
        run = f"{command.format(gate=workspace.folder / 'gate')} # {name}"
        node = {
            "resource": {"type": "local"},
            "contextualisation": {"type": "cloudinit", "context_template": {"runcmd": [run]}},
            "health_check": {"ping": False, **({} if name == "good" else {"ports": [1], "timeout": 500})},
        }
        workspace.write(f"{name}.yaml", json.dumps({"node_def:app": [node]}))
    nodes = [{"name": "app", "type": "app", "scaling": {"min": 1, "max": 3}}]
    workspace.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "shop", "nodes": nodes}))
    workspace.ready("build", "-i", "shop", "--nodes", "good.yaml", "infra.yaml")
    yield workspace
    workspace.ready("destroy", "-i", "shop")


@pytest.fixture
def works(local, kill_node):
    """Heals and scales the infrastructure: all of its instances are made by the good definition."""

    def check():
        (lost,) = local.report("shop")["app"]["instances"]
        kill_node(local, lost)
        local.ready("maintain", "-i", "shop")
        assert lost not in local.report("shop")["app"]["instances"]
        local.ready("scale", "-i", "shop", "-n", "app", "-s", "2")
        local.ready("maintain", "-i", "shop")
        made = local.query("SELECT i.body FROM instances JOIN implementations i ON i.digest = implementation")
        assert ["# good" in body for (body,) in made] == [True, True]
        assert "# good" in local.ready("import", "--show", "app").stdout

    return check


def test_an_update_that_fails_leaves_the_definitions_too(local, works):
    ended = local.run("build", "-i", "shop", "--nodes", "bad.yaml", "infra.yaml")
    assert ended.code == 1
    assert ended.stderr.endswith("the build failed and was undone\n"), ended.stderr
    works()


def test_an_update_that_is_killed_and_fails_in_another_process_leaves_them_too(local, works):
    """The definition that it has brought is used to carry it on."""
    with local.start("build", "-i", "shop", "--nodes", "gated.yaml", "infra.yaml") as process:
        wait_until(lambda: local.query("SELECT 1 FROM instances WHERE provisional AND instance_id IS NOT NULL"))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    local.write("gate", "")
    local.await_lease("shop")
    ended = local.run("maintain", "-i", "shop")
    assert "ended with exit status 3" in ended.stderr, ended
    assert local.query("SELECT 1 FROM infrastructures WHERE candidate IS NOT NULL OR rolling_back <> ''") == []
    works()


def test_a_first_build_that_fails_imports_nothing(local):
    assert local.run("build", "-i", "other", "--nodes", "bad.yaml", "infra.yaml").code == 1
    assert "# good" in local.ready("import", "--show", "app").stdout
