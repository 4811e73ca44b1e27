"""The same shapes built by Terraform, with its built-in resources. Needs no network.

There are two variants: creations that sleep for the boot time of the node, as if it were known in advance; and
creations that do the same work as Occopus, which is to call the simulated cloud, and to poll until the instance is
ready.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.shapes import Node, Shape
from occopus_core.testing.simcloud.process import SimulatedCloud

PARALLELISM = "-parallelism=256"
INSTANCE = "instance.sh"
SCRIPT = r"""set -eu
call() { curl -fsS -H 'Content-Type: application/json' -d "$2" "$ENDPOINT/instances/$1"; }
owner='{"installation": "terraform", "infra_id": "benchmark", "node_name": "'$1'", "node_id": "'$1'"}'
id=$(call create '{"token": "'$1'", "boot_seconds": '$2', "owner": '"$owner"'}' | sed 's/.*"id": *"\([^"]*\)".*/\1/')
until call describe '{"ids": ["'$id'"]}' | grep -q '"state": *"ready"'; do sleep 0.2; done
"""
"""Makes an instance of a name with this boot time in seconds, and waits until it is ready."""

ENVIRONMENT = {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": "/dev/null", "TF_IN_AUTOMATION": "1"}


@dataclass(frozen=True, slots=True)
class Built:
    """One shape built, and planned again without changes."""

    apply: child.Usage
    plan: child.Usage


def installed() -> bool:
    """Whether Terraform is on the PATH."""
    return shutil.which("terraform") is not None


def can_call() -> bool:
    """Whether it can do the same work, which needs curl."""
    return installed() and shutil.which("curl") is not None


def build(shape: Shape) -> Built:
    """Apply the shape with creations that sleep, then plan it. Raises `child.ChildError`."""
    return _build(configuration(shape, lambda node: f"sleep {node.seconds}"), {})


def build_calling(shape: Shape) -> Built:
    """The same with creations that call a simulated cloud. Raises `child.ChildError`."""
    with SimulatedCloud() as cloud:
        commands = configuration(shape, lambda node: f"sh {INSTANCE} {node.name} {node.seconds}")
        built = _build(commands, {"ENDPOINT": cloud.endpoint})
        if len(cloud.inventory()) != len(shape.nodes):
            raise child.ChildError(f"{len(cloud.inventory())} instances exist in place of {len(shape.nodes)}")
    return built


def _build(wanted: Mapping[str, Any], environment: Mapping[str, str]) -> Built:
    """Apply in a new folder, then plan."""
    with tempfile.TemporaryDirectory(prefix="occopus-benchmark-") as name:
        folder = Path(name)
        (folder / "main.tf.json").write_text(json.dumps(wanted), "utf-8")
        (folder / INSTANCE).write_text(SCRIPT, "utf-8")
        _terraform(folder, environment, "init")
        applied = _terraform(folder, environment, "apply", "-auto-approve", PARALLELISM)
        planned = _terraform(folder, environment, "plan", "-detailed-exitcode", PARALLELISM)
        return Built(applied, planned)


def configuration(shape: Shape, command: Callable[[Node], str]) -> dict[str, Any]:
    """The shape in Terraform's JSON syntax, each node made by its command."""
    return {"resource": {"terraform_data": {node.name: _resource(node, command(node)) for node in shape.nodes}}}


def _resource(node: Node, command: str) -> dict[str, Any]:
    return {
        "depends_on": [f"terraform_data.{name}" for name in node.needs],
        "provisioner": [{"local-exec": {"command": command}}],
    }


def _terraform(folder: Path, environment: Mapping[str, str], action: str, *options: str) -> child.Usage:
    command = ["terraform", action, "-input=false", "-no-color", *options]
    return child.run(command, folder, {**ENVIRONMENT, **environment})
