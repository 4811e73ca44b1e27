"""The quick start for a new user: real processes on this computer, all of which are gone at the end."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path

import psutil
import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@pytest.fixture
def user(workspace):
    shutil.copytree(QUICKSTART, workspace.folder, dirs_exist_ok=True)
    yield workspace
    workspace.run("destroy", "-i", "first")


def page(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}:8080/", timeout=LONGEST) as answer:
        return answer.read().decode()


def addresses(report: dict, node: str) -> list[str]:
    return [instance["resource_address"] for instance in report[node]["instances"].values()]


def alive(folder: Path) -> list[psutil.Process]:
    """The processes whose environment names a node below this folder."""
    return [
        process
        for process in psutil.process_iter(["environ", "status"])
        if (process.info["environ"] or {}).get("OCCOPUS_NODE_DIR", "").startswith(f"{folder}/")
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_the_quick_start(user):
    assert user.ready("import", "nodes.yaml").stdout.startswith("Successfully imported nodes: quickstart_web, ")
    assert user.ready("build", "infra.yaml", "-i", "first").stdout == "first\n"
    root = user.home / ".occopus" / "local"
    report = user.report("first")
    assert [len(report[node]["instances"]) for node in ("web", "loadbalancer")] == [2, 1]
    (balancer,) = addresses(report, "loadbalancer")
    pages = [page(balancer) for _ in range(4)]
    assert pages[0] == pages[2] != pages[1] == pages[3]
    assert set(pages) == {page(web) for web in addresses(report, "web")}
    assert all(node_id in "".join(pages) for node_id in report["web"]["instances"])
    assert len(alive(root)) >= 6, "a supervisor and a server for each node"

    again = user.ready("build", "infra.yaml", "-i", "first")
    assert again.stdout == "first\n"
    assert "node creating" not in again.stderr
    assert {name: node["instances"] for name, node in user.report("first").items()} == {
        name: node["instances"] for name, node in report.items()
    }

    user.ready("destroy", "-i", "first")
    assert alive(root) == []
    assert [path for path in root.rglob("*") if path.name != "addresses"] == []
    assert user.ready("maintain", "-l").stdout == ""


def test_the_load_balancer_follows_scaling(user, until):
    user.ready("import", "nodes.yaml")
    user.ready("build", "infra.yaml", "-i", "first", "--parallelize")
    (balancer,) = addresses(user.report("first"), "loadbalancer")
    user.ready("scale", "-i", "first", "-n", "web", "-s", "4")
    user.ready("maintain", "-i", "first", "--parallelize")
    webs = {page(web) for web in addresses(user.report("first"), "web")}
    assert len(webs) == 4
    until(lambda: {page(balancer) for _ in range(8)} == webs)

    user.ready("scale", "-i", "first", "-n", "web", "-s", "2")
    user.ready("maintain", "-i", "first", "--parallelize")
    left = {page(web) for web in addresses(user.report("first"), "web")}
    assert len(left) == 2
    assert {page(balancer) for _ in range(8)} == left, "those that are gone are passed over at once"
