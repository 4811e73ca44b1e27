"""Building and then destroying, compared with Ansible on EC2 and docker-compose on Docker: `benchmarks peers`.

The tools make the same instances on the same stand-in or engine, one tool after another, and then remove them. Ansible
is installed in ``.benchmarks/ansible`` once; docker-compose has to be on the PATH, and the engine needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import build, child, ec2
from occopus_resource_docker.testing.engines import DockerEngine
from occopus_resource_docker.testing.network import Network
from occopus_resource_ec2.testing import ACCESS_KEY, IMAGE, REGION, SECRET_KEY, Ec2Cloud

ANSIBLE = Path(".benchmarks/ansible").absolute()
_OBEDIENT = "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"
"""The command of containers: it ends on request, so that no tool waits for its time limit."""


@dataclass(frozen=True, slots=True)
class Lived:
    """This many instances made and removed by one tool."""

    where: str
    tool: str
    instances: int
    build: child.Usage
    destroy: child.Usage


def measure(instances: Sequence[int], containers: int) -> Sequence[Lived]:
    """Occopus and the other tool for each number of instances, then for the containers. Raises `child.ChildError`."""
    _install()
    lived = []
    for number in instances:
        ours = ec2.measure(number)
        lived.append(Lived("EC2", "occopus", number, ours.build.used, ours.destroy.used))
        lived.append(_ansible(number))
    with Network() as network, DockerEngine(network) as engine:
        lived += [_docker(engine, containers), _compose(engine, containers)]
    return lived


def _install() -> None:
    if shutil.which("docker-compose") is None:
        raise child.ChildError("docker-compose is not installed: apt-get install docker-compose")
    if not (ANSIBLE / "bin" / "ansible-playbook").exists():
        venv.create(ANSIBLE, with_pip=True)
        subprocess.run([ANSIBLE / "bin" / "pip", "install", "-q", "ansible", "boto3"], check=True)


def _ansible(instances: int) -> Lived:
    with Ec2Cloud() as cloud, build.workspace() as here:
        cloud.set_times(boot_seconds=ec2.BOOT_SECONDS)
        where = {
            "endpoint_url": cloud.endpoint,
            "region": REGION,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "wait": True,
        }
        made = {
            "state": "running",
            "count": instances,
            "name": "worker",
            "image_id": IMAGE,
            "instance_type": "t3.micro",
        }
        gone = {"state": "absent", "filters": {"tag:Name": "worker"}}
        usage = []
        for task, left in ((made, instances), (gone, 0)):
            play = {
                "hosts": "localhost",
                "gather_facts": False,
                "tasks": [{"amazon.aws.ec2_instance": {**where, **task}}],
            }
            (here.folder / "play.yaml").write_text(json.dumps([play]))
            environment = {"HOME": str(here.folder), "LC_ALL": "C.UTF-8"}
            usage.append(child.run([ANSIBLE / "bin" / "ansible-playbook", "play.yaml"], here.folder, environment))
            ec2.expect(cloud, left)
        return Lived("EC2", "ansible", instances, *usage)


def _docker(engine: DockerEngine, containers: int) -> Lived:
    with build.workspace() as here:
        resource = {"type": "docker", "endpoint": engine.endpoint, "image": "tiny", "tag": "1", "origin": "local"}
        context = {"type": "docker", "command": ["sh", "-c", _OBEDIENT]}
        implementation = {"resource": resource, "contextualisation": context, "health_check": {"ping": False}}
        here.run("occopus-import", here.write("nodes.yaml", json.dumps({"node_def:worker": [implementation]})))
        description = here.write("infrastructure.yaml", ec2.infrastructure(containers))
        built = here.run("occopus-build", description, "-i", build.INFRASTRUCTURE, "--parallelize")
        _expect(engine.containers(), containers)
        destroyed = here.run("occopus-destroy", "-i", build.INFRASTRUCTURE)
        _expect(engine.containers(), 0)
        return Lived("Docker", "occopus", containers, built, destroyed)


def _compose(engine: DockerEngine, containers: int) -> Lived:
    with build.workspace() as here:
        service = {"image": "tiny:1", "command": ["sh", "-c", _OBEDIENT.replace("$", "$$")]}
        here.write("docker-compose.yml", json.dumps({"version": "3", "services": {"worker": service}}))
        environment = {**os.environ, "HOME": str(here.folder), "DOCKER_HOST": engine.endpoint}
        up = ["docker-compose", "up", "-d", "--scale", f"worker={containers}"]
        built = child.run(up, here.folder, environment)
        _expect(engine.containers("com.docker.compose.service"), containers)
        destroyed = child.run(["docker-compose", "down"], here.folder, environment)
        _expect(engine.containers("com.docker.compose.service"), 0)
        return Lived("Docker", "docker-compose", containers, built, destroyed)


def _expect(found: Sequence[Any], containers: int) -> None:
    if len(found) != containers:
        raise child.ChildError(f"{len(found)} containers exist in place of {containers}")
