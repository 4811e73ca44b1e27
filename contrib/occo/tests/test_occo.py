"""Programs of Occopus 1.x with their module names."""

from __future__ import annotations

import importlib
import logging
import sys
import time
from pathlib import Path

import pytest

import occopus_core
from occo.api import occoapp
from occo.api.manager import (
    InfrastructureIDNotFoundException,
    InfrastructureIDTakenException,
    InfrastructureManager,
)
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.registry import Registry
from occopus_core.testing.memory import MemoryCloud, MemoryHandler

DESCRIPTION = {"user_id": "me", "infra_name": "shop", "nodes": [{"name": "a", "type": "t"}]}
SECRET = "a-word-nobody-guesses"


class Elsewhere(MemoryHandler):
    """A handler whose instances are ready at the first look."""

    cloud = MemoryCloud(time.monotonic)

    def __init__(self, connection):
        super().__init__(connection, self.cloud)


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch):
    """A program in an empty home, which has not called `setup` yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OCCOPUS_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["program"])
    for name in ("args", "configuration", "credentials"):
        monkeypatch.setattr(occoapp, name, None)
    (tmp_path / "mine.yaml").write_text(f"store: sqlite:///{tmp_path}/mine.db\n")
    return tmp_path


@pytest.fixture
def root_logger():
    """The root logger; it is restored at the end of the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_life_cycle_with_the_names_of_1x(program):
    occoapp.setup(cfg_path=str(program / "mine.yaml"))
    registry = Registry({("resource", "elsewhere"): Elsewhere})
    with InfrastructureManager("parallel", registry=registry, interval=60.0) as manager:
        made = Implementation({"type": "elsewhere", "boot_seconds": 0}, None, None, HealthCheck({}, 60.0))
        manager.store.put_definitions([NodeDefinition("t", (made,))])
        infra_id = manager.build(DESCRIPTION)
        (instance,) = manager.report(infra_id)["a"]["instances"].values()
        assert instance["state"] == "ready"
        with pytest.raises(InfrastructureIDTakenException):
            manager.submit_infrastructure(DESCRIPTION, infra_id)
        manager.tear_down(infra_id)
        with pytest.raises(InfrastructureIDNotFoundException):
            manager.get(infra_id)
    assert (program / "mine.db").exists()


def test_the_classes_are_those_of_the_core():
    assert issubclass(InfrastructureManager, occopus_core.InfrastructureManager)
    assert InfrastructureIDTakenException is occopus_core.InfrastructureIDTakenException
    assert InfrastructureIDNotFoundException is occopus_core.InfrastructureIDNotFoundException


def test_without_setup_the_files_of_the_user_count(program):
    folder = program / ".occopus"
    folder.mkdir()
    (folder / "occopus_config.yaml").write_text(f"store: sqlite:///{program}/home.db\n")
    with InfrastructureManager() as manager:
        manager.open()
    assert (program / "home.db").exists()


def test_options_of_the_program_and_of_setup(program, monkeypatch):
    (program / "other.yaml").write_text(f"store: sqlite:///{program}/other.db\n")
    monkeypatch.setattr(sys, "argv", ["program", "--cfg", "other.yaml", "--count", "3"])
    given = occoapp.setup(lambda parser: parser.add_argument("--count", type=int), cfg_path="mine.yaml")
    assert (given.count, given.cfg, occoapp.args) == (3, "other.yaml", given)
    assert occoapp.configuration.store == f"sqlite:///{program}/other.db"


def test_unknown_options(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["program", "--something", "else"])
    assert occoapp.setup().cfg is None
    with pytest.raises(SystemExit) as left:
        occoapp.setup(lambda _: None)
    assert left.value.code == 2
    assert "--something" in capsys.readouterr().err


def test_an_invalid_file_changes_nothing(program):
    occoapp.setup(cfg_path="mine.yaml")
    before = occoapp.configuration
    (program / "auth.yaml").write_text("resource: 7\n")
    with pytest.raises(DescriptionError):
        occoapp.setup(cfg_path="mine.yaml", auth_data_path="auth.yaml")
    assert occoapp.configuration is before


def test_no_log_shows_a_secret(program, root_logger):
    auth = program / "auth.yaml"
    auth.write_text(f"resource: [{{type: ec2, auth_data: {{accesskey: a, secretkey: {SECRET}}}}}]\n")
    auth.chmod(0o600)
    log = program / "log"
    (program / "logging.yaml").write_text(
        f"logging: {{version: 1, handlers: {{file: {{class: logging.FileHandler, filename: {log}}}}}, "
        "root: {level: INFO, handlers: [file]}}\nunknown: 1\n"
    )
    occoapp.setup(cfg_path="logging.yaml", auth_data_path="auth.yaml")
    logging.getLogger("occopus.program").info("it is %s", SECRET)
    for handler in root_logger.handlers:
        handler.flush()
    text = log.read_text()
    assert "were ignored: unknown" in text
    assert "it is ***" in text
    assert SECRET not in text


def test_the_package_is_small():
    package = Path(importlib.import_module("occo").__file__).parent
    assert sum(len(file.read_text().splitlines()) for file in package.rglob("*.py")) < 200
