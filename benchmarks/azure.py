"""A node of many machines on Azure: the provider calls for building, maintaining and destroying it."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

from benchmarks import build, child
from benchmarks.ec2 import Served, Step
from occopus_resource_azure.testing import CLIENT_ID, CLIENT_SECRET, GROUP, REGION, SUBSCRIPTION, TENANT, AzureCloud

BOOT_SECONDS = 2.0
MACHINES = "Microsoft.Compute/virtualMachines"


def measure(instances: int) -> Served:
    """One infrastructure of that size, in a network of the user. Raises `child.ChildError`."""
    with AzureCloud() as cloud, build.workspace() as here:
        os.environ.update(cloud.environment)  # inherited by the commands
        cloud.account.times["vm_create"] = BOOT_SECONDS
        cloud.add_network("net", default="10.0.0.0/22")
        _write_credentials(here.folder)
        here.run("occopus-import", here.write("nodes.yaml", _definitions(cloud.endpoint)))
        description = here.write("infrastructure.yaml", _infrastructure(instances))
        built = _step(cloud, here, "occopus-build", description, "-i", build.INFRASTRUCTURE, "--parallelize")
        _expect(cloud, instances)
        looked_after = _step(cloud, here, "occopus-maintain", "-i", build.INFRASTRUCTURE)
        _expect(cloud, instances)
        destroyed = _step(cloud, here, "occopus-destroy", "-i", build.INFRASTRUCTURE)
        _expect(cloud, 0)
    return Served(instances, built, looked_after, destroyed)


def _step(cloud: AzureCloud, here: build.Workspace, command: str, *arguments: str) -> Step:
    before = cloud.calls()
    used = here.run(command, *arguments)
    calls = cloud.calls() - before
    login = Counter({name: count for name, count in calls.items() if name.endswith(("login", "metadata"))})
    return Step(used, (calls - login).total(), calls[f"PUT {MACHINES}"])


def _expect(cloud: AzureCloud, instances: int) -> None:
    found = sum(thing["type"] == MACHINES for thing in cloud.inventory())
    if found != instances:
        raise child.ChildError(f"{found} machines exist in place of {instances}")


def _write_credentials(home: Path) -> None:
    file = home / ".occopus" / "auth_data.yaml"
    file.parent.mkdir()
    file.touch(mode=0o600)
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    auth = {"tenant_id": TENANT, "subscription_id": SUBSCRIPTION, **client}
    file.write_text(json.dumps({"resource": [{"type": "azure_vm", "auth_data": auth}]}), "utf-8")


def _definitions(endpoint: str) -> str:
    resource = {
        "type": "azure_vm",
        "endpoint": endpoint,
        "resource_group": GROUP,
        "location": REGION,
        "vm_size": "Standard_B1s",
        "publisher": "Canonical",
        "offer": "ubuntu-24_04-lts",
        "sku": "server",
        "version": "latest",
        "username": "occopus",
        "ssh_key_data": "ssh-ed25519 AAAA",
        "vnet_name": "net",
        "public_ip_needed": True,
    }
    return json.dumps({"node_def:worker": [{"resource": resource, "health_check": {"ping": False}}]})


def _infrastructure(instances: int) -> str:
    node = {"name": "worker", "type": "worker", "scaling": {"min": instances}}
    return json.dumps({"user_id": "benchmark", "infra_name": "benchmark", "nodes": [node]})
