"""A plugin of each kind from the template: its wheel beside the core's, its suite, a build with it, four breaks."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from tests.pins import without_hashes
from tests.unit.plugins import CHECKER, put

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
KINDS = ("resource", "config", "health", "context", "notify")
OURS = ("occopus-core", "occopus-health-network")
"""The distributions of this repository that are installed beside: nodes are pinged unless they say otherwise."""
LONGEST = 1200.0
"""Seconds after which a program is taken for stuck."""


class Outside:
    """An environment with wheels only, and a home; the checkout is not importable in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.venv, self.dist = folder, folder / "venv", folder / "dist"
        self.environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        self.environ["OCCOPUS_STORE"] = f"sqlite:///{folder}/store.db"

    @property
    def packages(self) -> Path:
        (found,) = self.venv.glob("lib/python*/site-packages")
        return found

    def command(self, name, *words):
        return self.run(self.venv / "bin" / f"occopus-{name}", *words, env=self.environ)

    def run(self, *words, env=None):
        ended = self.ended(*words, env=env if env is not None else dict(os.environ))
        assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def ended(self, *words, env=None):
        return subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=env if env is not None else self.environ,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    def states(self):
        """The state and the reason of each plugin of the template, by kind."""
        plugins = json.loads(self.command("plugins", "list", "-o", "json"))["plugins"]
        assert {one["state"] for one in plugins if one["type"] == "docker"} == {"usable"}, "the others stay usable"
        return {one["kind"]: (one["state"], one["reason"]) for one in plugins if one["type"] == "acme"}


@pytest.fixture
def outside(tmp_path):
    return Outside(tmp_path)


def make_and_install(outside):
    """Make the five packages, build their wheels and install them by these, with the core's."""
    for kind in KINDS:
        made = outside.run(BIN / "occopus-plugins", "new", kind, "acme").strip()
        for words in (["check", "--quiet"], ["format", "--check", "--quiet"]):
            outside.run(BIN / "ruff", *words, made)
        outside.run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", outside.dist, made)
    outside.run(sys.executable, "-m", "venv", "--without-pip", outside.venv)
    wheels = sorted(outside.dist.glob("occopus_*acme*.whl"))
    (core,), network = outside.dist.glob("occopus_core-*.whl"), outside.dist.glob("occopus_health_network-*.whl")
    pip = [sys.executable, "-m", "pip", "--python", outside.venv, "install", "--quiet"]
    pinned = ["--constraint", without_hashes(outside.folder), "--find-links", outside.dist]
    outside.run(*pip, *pinned, f"{core}[testing]", *network, *wheels)


def test_a_plugin_of_each_kind_is_made_installed_checked_used_and_broken(outside):
    outside.run(sys.executable, ROOT / "contrib" / "dist.py", "--output", outside.dist, *OURS)
    started = time.monotonic()
    make_and_install(outside)
    installed = time.monotonic() - started
    builds_a_node_with_all_of_them(outside)
    print(
        f"from new to a built node: {time.monotonic() - started:.1f} s, {installed:.1f} s of them to the installation"
    )
    pass_their_suites(outside)
    are_in_list_show_and_schema(outside)
    break_in_four_ways(outside)


@contextlib.contextmanager
def fakes(outside):
    """The services of the plugins: a folder for each of two, an agent on one of them, and a server that greets."""
    folders = [outside.folder / name for name in ("cloud", "orders")]
    for folder in folders:
        folder.mkdir()
    agent = [outside.venv / "bin" / "python", "-m", "occopus_config_acme.testing", folders[1]]
    with socket.create_server(("127.0.0.1", 0)) as server, subprocess.Popen(agent, env=outside.environ) as process:
        threading.Thread(target=greet, args=[server], daemon=True).start()
        try:
            yield *folders, server.getsockname()[1]
        finally:
            process.kill()
            server.shutdown(socket.SHUT_RDWR)


def greet(server):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with contextlib.suppress(OSError), connection:
                connection.sendall(b"SSH-2.0-test\r\n")


def builds_a_node_with_all_of_them(outside):
    delivered = outside.folder / "delivered"
    with fakes(outside) as (cloud, orders, port):
        implementation = {
            "resource": {"type": "acme", "endpoint": str(cloud)},
            "contextualisation": {"type": "acme", "lines": ["echo {{ infra_name }}"]},
            "config_management": {"type": "acme", "endpoint": str(orders), "roles": ["web"]},
            "health_check": {"ping": False, "acme": {"port": port, "text": "SSH"}},
        }
        infrastructure = {"user_id": "me", "infra_name": "trial", "nodes": [{"name": "web", "type": "web"}]}
        config = {"notify": [{"type": "acme", "path": str(delivered)}]}
        for name, content in (
            ("nodes", {"node_def:web": [implementation]}),
            ("infra", infrastructure),
            ("cfg", config),
        ):
            (outside.folder / f"{name}.yaml").write_text(json.dumps(content))
        refuses_what_can_never_be(outside, cloud, implementation)
        outside.command("import", "nodes.yaml", "--cfg", "cfg.yaml")
        outside.command("build", "infra.yaml", "-i", "trial", "--cfg", "cfg.yaml")
        (instance,) = [json.loads(file.read_text()) for file in cloud.iterdir()]
        assert instance["user_data"] == "#!/bin/sh\necho trial\n"
        report = json.loads(outside.command("maintain", "-r", "-i", "trial", "-o", "json"))
        assert [one["state"] for one in report["web"]["instances"].values()] == ["ready"]
        assert len(list(orders.glob("*/*.report"))) == 1
        assert "node ready" in {json.loads(line)["event"] for line in delivered.read_text().splitlines()}
        outside.command("destroy", "-i", "trial", "--cfg", "cfg.yaml")
        assert list(cloud.iterdir()) == []
        assert list(orders.glob("*/*")) == []


def refuses_what_can_never_be(outside, cloud, implementation):
    """A missing folder fails the build at once, not after the time limit of the node."""
    endless = {**implementation["health_check"], "timeout": 1_000_000}
    section = {**implementation["resource"], "endpoint": f"{cloud}-misspelt"}
    mistaken = {**implementation, "resource": section, "health_check": endless}
    (outside.folder / "mistaken.yaml").write_text(json.dumps({"node_def:web": [mistaken]}))
    outside.command("import", "mistaken.yaml", "--cfg", "cfg.yaml")
    failed = outside.ended(outside.venv / "bin" / "occopus-build", "infra.yaml", "-i", "trial", "--cfg", "cfg.yaml")
    assert failed.returncode == 1, failed
    assert f"the folder {cloud}-misspelt does not exist" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert list(cloud.iterdir()) == []


def pass_their_suites(outside):
    checked = outside.command("plugins", "check", "acme")
    totals = [line for line in checked.splitlines() if line.partition(":")[0] in {f"{kind}/acme" for kind in KINDS}]
    assert len(totals) == len(KINDS)
    assert all(" 0 failed" in line for line in totals)
    folders = [outside.folder / f"occopus-{kind}-acme" for kind in KINDS]
    python = outside.venv / "bin" / "python"
    words = ["-W", "error", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-k", "entry_point or schema"]
    outside.run(python, "-m", "pytest", *words, *(folder / "tests" for folder in folders), env=outside.environ)
    outside.run(BIN / "mypy", "--strict", *(folder / f"occopus_{folder.name.split('-')[1]}_acme" for folder in folders))


def are_in_list_show_and_schema(outside):
    assert outside.states() == dict.fromkeys(KINDS, ("usable", ""))
    shown = outside.command("plugins", "show", "resource/acme")
    assert "    endpoint (string, required)" in shown.splitlines()
    assert "distribution     occopus-resource-acme 0.1.0" in shown
    outside.command("plugins", "schema", "--output", "schemas")
    folder = outside.folder / "schemas"
    found = {file.name: json.loads(file.read_text()) for file in folder.iterdir()}
    editor = jsonschema.Draft7Validator(found["node_definitions.schema.json"])
    section = {"type": "acme", "endpoint": "/srv", "size": 2}
    assert editor.is_valid({"node_def:x": [{"resource": section}]})
    for wrong in ({"size": "large"}, {"sise": 1}):
        assert not editor.is_valid({"node_def:x": [{"resource": {**section, **wrong}}]})
    for kind in ("resource", "config", "health", "context"):
        assert f"{kind}.acme" in found["node_definitions.schema.json"]["definitions"]
    assert "notify.acme" in found["occopus_config.schema.json"]["definitions"]


def break_in_four_ways(outside):
    modules = [outside.packages / f"occopus_{kind}_acme" / "__init__.py" for kind in KINDS]

    def changed(files, change):
        before = {file: file.read_text() for file in files}
        for file, text in before.items():
            assert change(text) != text
            file.write_text(change(text))
        states = outside.states()
        for file, text in before.items():
            file.write_text(text)
        assert states.keys() == set(KINDS)
        return states.values()

    for state, reason in changed(modules, lambda text: f"{text}\nimport nothing_of_this_name\n"):
        assert state == "import error"
        assert "cannot be imported: No module named 'nothing_of_this_name'; `occopus-plugins show " in reason
    for state, reason in changed(
        modules, lambda text: text.replace("contract_version: ClassVar[int] = 1", "contract_version = 9")
    ):
        assert state == "other contract"
        assert "speaks version 9 of the plugin contract, this core version 1" in reason
    schemas = [module.with_name("schema.json") for module in modules]
    for state, reason in changed(schemas, lambda text: text.replace('"type": "object"', '"type": "objekt"', 1)):
        assert state == "malformed schema"
        assert "schema() is not a JSON Schema: 'objekt' at /type (occopus_" in reason
    for kind in KINDS:
        put(outside.packages, f"rival-{kind}", "acme", f"rival_{kind}:Checker", CHECKER.format(version=1), kind=kind)
    for kind, (state, reason) in outside.states().items():
        assert state == "clash"
        assert reason.endswith(f"is provided by occopus-{kind}-acme and by rival-{kind}: uninstall one of them")


def test_the_template_asks_for_the_core_that_it_comes_with():
    """The range of the core in the template is that of the plugins of the repository."""
    template = (ROOT / "contrib" / "plugin-template" / "project" / "pyproject.toml.jinja").read_text()
    wanted = "occopus-core >= 2.0.0.dev0, < 3"
    assert f'dependencies = ["{wanted}"]' in template
    assert f"    {wanted}\n" in (ROOT / "plugins" / "resource" / "sim" / "setup.cfg").read_text()
    assert importlib.util.find_spec("copier") is not None
