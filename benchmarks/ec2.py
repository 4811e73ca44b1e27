"""A node of many instances on EC2: the provider calls for building, maintaining and destroying it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks import build, child
from occopus_resource_ec2.testing import ACCESS_KEY, IMAGE, REGION, SECRET_KEY, Ec2Cloud

BOOT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and the number of its calls to EC2."""

    used: child.Usage
    calls: int
    creations: int
    """The number of RunInstances calls: one for each instance, with its token."""


@dataclass(frozen=True, slots=True)
class Served:
    """This many instances built, maintained by one pass, and destroyed."""

    instances: int
    build: Step
    upkeep: Step
    destroy: Step


def measure(instances: int) -> Served:
    """One infrastructure of that size. Raises `child.ChildError`."""
    with Ec2Cloud() as cloud, build.workspace() as here:
        cloud.set_times(boot_seconds=BOOT_SECONDS)
        _write_credentials(here.folder)
        here.run("occopus-import", here.write("nodes.yaml", _definitions(cloud.endpoint)))
        description = here.write("infrastructure.yaml", infrastructure(instances))
        built = _step(cloud, here, "occopus-build", description, "-i", build.INFRASTRUCTURE, "--parallelize")
        expect(cloud, instances)
        looked_after = _step(cloud, here, "occopus-maintain", "-i", build.INFRASTRUCTURE)
        expect(cloud, instances)
        destroyed = _step(cloud, here, "occopus-destroy", "-i", build.INFRASTRUCTURE)
        expect(cloud, 0)
    return Served(instances, built, looked_after, destroyed)


def _step(cloud: Ec2Cloud, here: build.Workspace, command: str, *arguments: str) -> Step:
    before = Counter(cloud.calls())
    used = here.run(command, *arguments)
    calls = Counter(cloud.calls()) - before
    return Step(used, calls.total(), calls["RunInstances"])


def expect(cloud: Ec2Cloud, instances: int) -> None:
    """Raises `child.ChildError` if the cloud has another number of instances."""
    found = sum(thing["id"].startswith("i-") for thing in cloud.inventory())
    if found != instances:
        raise child.ChildError(f"{found} instances exist in place of {instances}")


def _write_credentials(home: Path) -> None:
    file = home / ".occopus" / "auth_data.yaml"
    file.parent.mkdir()
    file.touch(mode=0o600)
    keys = {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY}
    file.write_text(json.dumps({"resource": [{"type": "ec2", "auth_data": keys}]}), "utf-8")


def _definitions(endpoint: str) -> str:
    resource = {
        "type": "ec2",
        "endpoint": endpoint,
        "regionname": REGION,
        "image_id": IMAGE,
        "instance_type": "t3.micro",
    }
    context = {"type": "cloudinit", "context_template": {"hostname": "{{ name }}"}}
    implementation = {"resource": resource, "contextualisation": context, "health_check": {"ping": False}}
    return json.dumps({"node_def:worker": [implementation]})


def infrastructure(instances: int) -> str:
    """The description of one node with that many instances of the type `worker`."""
    node = {"name": "worker", "type": "worker", "scaling": {"min": instances}}
    return json.dumps({"user_id": "benchmark", "infra_name": "benchmark", "nodes": [node]})
