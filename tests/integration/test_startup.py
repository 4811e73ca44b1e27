"""Frequently used commands are fast: they import no slow modules."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.integration

SLOW = {"alembic", "jinja2", "jsonschema", "rich", "shtab", "sqlalchemy", "stevedore", "yaml"}
HEAVY = {"bz2", "dataclasses", "email", "inspect", "json", "logging", "lzma", "pathlib", "socket", "subprocess"}
HEAVY |= {"shutil", "typing"}
"""Modules of the standard library that take long to import, and that a help text can do without."""
LOADED = """
import os, sys
from importlib import import_module
number, leave = os.dup(2), os._exit
def tell(code):
    os.write(number, " ".join({name.partition(".")[0] for name in sys.modules}).encode())
    leave(code or 0)
os._exit = tell
sys.argv = sys.argv[1:]
from occopus_core.cli import entry
try:
    getattr(entry, os.environ["COMMAND"])()
except SystemExit as end:
    tell(end.code)
"""


def imported(workspace, command: str, *words: str) -> set[str]:
    """The top-level modules that a command has imported at its end."""
    before = (sys.executable, "-c", LOADED)
    ended = workspace.ready(command.rstrip("_"), *words, before=before, environ={"COMMAND": command})
    return set(ended.stderr.split())


@pytest.mark.parametrize("command", ["import_", "build", "maintain", "destroy", "scale", "rest_service", "plugins"])
def test_help(workspace, command):
    modules = imported(workspace, command, "--help")
    assert "occopus_core" in modules
    assert modules & (SLOW | HEAVY) == set()


def test_the_list(ready):
    ready.ready("build", "trial.yaml")
    modules = imported(ready, "maintain", "-l")
    assert "sqlite3" in modules
    assert modules & SLOW == set()


def test_the_plan_of_a_new_infrastructure(ready):
    modules = imported(ready, "build", "trial.yaml", "--plan")
    assert {"jinja2", "jsonschema", "sqlite3", "yaml", "occopus_resource_sim"} <= modules
    assert modules & {"alembic", "asyncio", "rich", "shtab", "sqlalchemy"} == set()
    assert {name for name in modules if name.startswith("occopus_")} == {"occopus_core", "occopus_resource_sim"}


def test_the_plan_of_an_existing_infrastructure(ready):
    ready.ready("build", "trial.yaml", "-i", "trial")
    modules = imported(ready, "build", "trial.yaml", "--plan", "-i", "trial")
    assert {"sqlalchemy", "jinja2"} <= modules
    assert modules & {"alembic", "rich", "shtab"} == set()
