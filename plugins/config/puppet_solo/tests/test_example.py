"""The example, with the real `puppet apply`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
SECONDS = 600


@pytest.fixture
def run(tmp_path):
    """Run a command in a home folder of its own."""
    if shutil.which("puppet") is None:
        pytest.skip("Puppet is not installed: apt-get install puppet-agent")
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("OCCOPUS_CONFIG_PATH", None)

    def command(name, *arguments):
        program = Path(sys.executable).with_name(f"occopus-{name}")
        done = subprocess.run(
            [program, *arguments],
            check=False,
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield command
    command("destroy", "-i", "puppet")
    assert not list((tmp_path / ".occopus" / "local").glob("occopus-*"))


def test_the_manifest_is_applied(run, tmp_path):
    description = (ROOT / "examples/puppet/infra.yaml").read_text()
    infra = tmp_path / "infra.yaml"
    infra.write_text(re.sub("/absolute/path/of/examples", str(ROOT / "examples"), description))
    run("import", str(ROOT / "examples/puppet/nodes.yaml"))
    run("build", str(infra), "-i", "puppet")
    (instance,) = json.loads(run("maintain", "-i", "puppet", "-r", "-o", "json"))["web"]["instances"].values()
    with urllib.request.urlopen(f"http://{instance['resource_address']}:8080/", timeout=SECONDS) as answer:
        assert answer.read() == b"<h1>Hello from Puppet</h1>\n"
