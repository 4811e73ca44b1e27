"""The same shapes built by Terraform: built-in resources whose creation sleeps. Needs no network."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.shapes import Node, Shape

PARALLELISM = "-parallelism=256"
ENVIRONMENT = {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": "/dev/null", "TF_IN_AUTOMATION": "1"}


@dataclass(frozen=True, slots=True)
class Built:
    """One shape built, and looked at again with nothing left to do."""

    apply: child.Usage
    plan: child.Usage


def installed() -> bool:
    """Whether there is a terraform on the PATH."""
    return shutil.which("terraform") is not None


def build(shape: Shape) -> Built:
    """Apply the shape in a new folder, then plan it. Raises `child.ChildError`."""
    with tempfile.TemporaryDirectory(prefix="occopus-benchmark-") as name:
        folder = Path(name)
        (folder / "main.tf.json").write_text(json.dumps(configuration(shape)), "utf-8")
        _terraform(folder, "init")
        applied = _terraform(folder, "apply", "-auto-approve", PARALLELISM)
        planned = _terraform(folder, "plan", "-detailed-exitcode", PARALLELISM)
        return Built(applied, planned)


def configuration(shape: Shape) -> dict[str, Any]:
    """The shape in Terraform's JSON syntax."""
    return {"resource": {"terraform_data": {node.name: _resource(node) for node in shape.nodes}}}


def _resource(node: Node) -> dict[str, Any]:
    return {
        "depends_on": [f"terraform_data.{name}" for name in node.needs],
        "provisioner": [{"local-exec": {"command": f"sleep {node.seconds}"}}],
    }


def _terraform(folder: Path, action: str, *options: str) -> child.Usage:
    return child.run(["terraform", action, "-input=false", "-no-color", *options], folder, ENVIRONMENT)
