"""The hybrid example as its README has it: one description on this machine, an EC2 that is nearly full, and Docker."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from occopus_resource_docker.testing import DockerEngine, Network, missing

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "hybrid"
COMMANDS = re.findall(
    r"^    ((?:occopus|python|docker).*?)(?:  +#.*)?$", (EXAMPLE / "README.md").read_text(), re.MULTILINE
)
PORT = "5300"
FULL = "InstanceLimitExceeded: You have requested more instances than your current instance limit of 1 allows"


class User:
    """A user who follows the README, in a copy of the folder."""

    def __init__(self, workspace, port):
        self.workspace, self.port = workspace, str(port)
        for file in EXAMPLE.glob("*.yaml"):
            text = file.read_text()
            assert (PORT in text) == (file.name == "nodes.yaml")
            workspace.write(file.name, text.replace(PORT, self.port))
        (workspace.folder / "auth_data.yaml").chmod(0o600)
        workspace.environ["OCCOPUS_AUTH_DATA_PATH"] = str(workspace.folder / "auth_data.yaml")

    def serve(self):
        (line,) = [line for line in COMMANDS if line.startswith("python -m")]
        words = line.removesuffix(" &").replace(PORT, self.port).split()[1:]
        return subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)

    def does(self, beginning):
        """The command of the README with this beginning."""
        (line,) = [line for line in COMMANDS if line.startswith(beginning)]
        command, *words = line.split()
        return self.workspace.ready(command.removeprefix("occopus-"), *words)

    def addresses(self, node):
        return [each["resource_address"] for each in self.workspace.report("hybrid")[node]["instances"].values()]

    def received(self):
        """The file that each worker on this machine got from the node `files`."""
        return [path.read_text() for path in (self.workspace.home / ".occopus" / "local").glob("*/work/database")]


@pytest.fixture
def user(workspace, held_port):
    missing = [name for name in ("moto", "flask", "flask_cors") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"{missing[0]} is not installed: pip install './plugins/resource/ec2[testing]' in a checkout of Occopus"
        )
    somebody = User(workspace, held_port)
    with somebody.serve() as server:
        try:
            assert server.stdout.readline() == f"http://127.0.0.1:{somebody.port}\n"
            yield somebody
            workspace.run("destroy", "-i", "hybrid")
        finally:
            server.kill()


def test_who_finds_no_room_on_ec2_goes_to_this_machine(user, until):
    user.does("occopus-import")
    user.does("occopus-build --parallelize")
    assert len(user.addresses("worker")) == 8
    user.does("occopus-scale")
    user.does("occopus-maintain --parallelize")
    assert len(user.addresses("worker")) == 16

    (database,) = user.addresses("database")
    until(lambda: user.received() == [f"{database}\n"] * 16)  # handed from EC2 to this machine, and on to each worker
    said = user.does("occopus-maintain -i hybrid --events").stdout.splitlines()
    begun = [line for line in said if re.search(r" node creating worker \S+: my-ec2$", line)]
    moved = [line for line in said if " node moved worker " in line]
    assert moved, "by chance, once in 65536 runs"
    assert all(FULL in line and line.endswith(": trying my-machine") for line in moved)
    assert len(begun) == len([line for line in moved if " is passed over (" not in line])
    user.does("occopus-destroy")
    assert user.workspace.rows("hybrid") == 0


def test_a_container_beside_them(user):
    if lacking := missing(*DockerEngine.programs):
        pytest.skip(lacking)
    with Network() as network, DockerEngine(network) as engine:
        text = (user.workspace.folder / "nodes.yaml").read_text()
        assert text.count("unix:///var/run/docker.sock") == text.count("image: busybox\n") == 1
        text = text.replace("unix:///var/run/docker.sock", engine.endpoint)
        user.workspace.write(
            "nodes.yaml", text.replace("image: busybox\n", "image: tiny\n      tag: '1'\n      origin: local\n")
        )
        user.does("occopus-import")
        user.does("occopus-build --parallelize")
        before = user.workspace.report("hybrid")
        planned = user.does("occopus-build --plan").stdout
        assert "+ create 1 x cache: " in planned
        assert "1 to create, 0 to replace, 0 to destroy, 10 to keep" in planned
        user.does("occopus-build -i hybrid with-docker.yaml")
        after = user.workspace.report("hybrid")
        assert {name: set(before[name]["instances"]) for name in before} == {
            name: set(after[name]["instances"]) for name in before
        }
        (container,) = engine.containers()
        (database,) = user.addresses("database")
        assert engine.client().logs(container["Id"]).decode() == f"in front of {database}\n"
        user.does("occopus-destroy")
        assert engine.containers() == []
