"""A node with ``when_outdated: replace`` follows the addresses of the nodes that it depends on, with real commands."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def shop(workspace):
    """A proxy that is made with the address of an app, both on this machine; `describe` writes another version."""

    def definition(*commands):
        return [
            {
                "resource": {"type": "local"},
                "contextualisation": {"type": "cloudinit", "context_template": {"runcmd": list(commands)}},
                "health_check": {"ping": False},
            }
        ]

    proxy = f"echo {{{{ getip('app') }}}} > {workspace.folder}/address-{{{{ node_id }}}}"
    definitions = {
        "node_def:app": definition("echo {{ variables.version }}", "exec sleep 3002"),
        "node_def:proxy": definition(proxy, "exec sleep 3002"),
    }
    workspace.ready("import", workspace.write("nodes.yaml", json.dumps(definitions)))
    describe(workspace, 1)
    workspace.ready("build", "infra.yaml", "-i", "shop")
    yield workspace
    workspace.ready("destroy", "-i", "shop")


def describe(workspace, version):
    app = {"name": "app", "type": "app", "variables": {"version": version}}
    nodes = [app, {"name": "proxy", "type": "proxy", "when_outdated": "replace"}]
    described = {"user_id": "me", "infra_name": "shop", "nodes": nodes, "dependencies": [["proxy", "app"]]}
    described["outputs"] = {"address": "{{ getip('proxy') }}"}
    workspace.write("infra.yaml", json.dumps(described))


def follows(shop, before=()):
    """The ids of the instances, all of them others than before; the proxy was made with the app's address."""
    report = shop.report("shop")
    ids = {name: next(iter(report[name]["instances"])) for name in ("app", "proxy")}
    assert not {*ids.values()} & {*before}
    address = report["app"]["instances"][ids["app"]]["resource_address"]
    assert (shop.folder / f"address-{ids['proxy']}").read_text().strip() == address
    return ids.values()


def test_an_update_replaces_the_node_and_warns_of_nothing(shop):
    before = follows(shop)
    describe(shop, 2)
    planned = shop.ready("build", "infra.yaml", "-i", "shop", "--plan").stdout
    why = "its configuration was made with addresses of app, which change"
    assert f"~ replace 1 x proxy: {why}\n" in planned
    built = shop.ready("build", "infra.yaml", "-i", "shop")
    assert "outdated" not in built.stderr
    follows(shop, before)


def test_maintenance_replaces_the_node_after_a_requested_replacement(shop):
    before = follows(shop)
    shop.ready("scale", "-i", "shop", "-n", "app", "--replace")
    shop.ready("maintain", "-i", "shop")
    follows(shop, before)
