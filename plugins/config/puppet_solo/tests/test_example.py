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
    """Run a command with its own home folder."""
    if shutil.which("puppet") is None:
        pytest.skip("Puppet is not installed: apt-get install puppet-agent")
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("OCCOPUS_CONFIG_PATH", None)

    def words(name):
        return [str(Path(sys.executable).with_name(f"occopus-{name}"))]

    def command(name, *arguments, failing=False):
        done = subprocess.run(
            [*words(name), *arguments],
            check=False,
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert failing or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    command.words, command.environment = words, environment
    yield command
    command("destroy", "-i", "puppet", failing=True)  # a failed build leaves no infrastructure
    assert not list((tmp_path / ".occopus" / "local").glob("occopus-*"))


def described(tmp_path, examples):
    description = (examples / "puppet" / "infra.yaml").read_text()
    infra = tmp_path / "infra.yaml"
    infra.write_text(re.sub("/absolute/path/of/examples", str(examples), description))
    return str(infra)


def test_the_manifest_is_applied(run, tmp_path):
    run("import", str(ROOT / "examples/puppet/nodes.yaml"))
    run("build", described(tmp_path, ROOT / "examples"), "-i", "puppet")
    (instance,) = json.loads(run("maintain", "-i", "puppet", "-r", "-o", "json"))["web"]["instances"].values()
    with urllib.request.urlopen(f"http://{instance['resource_address']}:8080/", timeout=SECONDS) as answer:
        assert answer.read() == b"<h1>Hello from Puppet</h1>\n"


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("    ensure  => file,", "    ensure  = file,", r"Error: .*[Ss]yntax error at '='.*page\.pp, line: \d+"),
        ("    ensure  => file,", "    mode => 'odd',", r"Error: .*mode"),
    ],
)
def test_the_error_of_an_invalid_manifest_is_shown(run, tmp_path, right, wrong, reason):
    shutil.copytree(ROOT / "examples" / "puppet", tmp_path / "examples" / "puppet")
    manifest = tmp_path / "examples" / "puppet" / "page.pp"
    assert right in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(right, wrong))
    run("import", str(tmp_path / "examples" / "puppet" / "nodes.yaml"))
    words = [*run.words("build"), described(tmp_path, tmp_path / "examples"), "-i", "puppet"]
    build = subprocess.run(
        words, env=run.environment, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert build.returncode == 1, build.stderr
    assert re.search(rf"node failed web \S+: runcmd.* ended with exit status 1: {reason}", build.stderr), build.stderr
