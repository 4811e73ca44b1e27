"""What is asked often answers at once: it imports none of what takes long to import."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.integration

SLOW = {"alembic", "jinja2", "jsonschema", "rich", "shtab", "sqlalchemy", "stevedore", "yaml"}
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
    """The top-level modules that a command has imported when it ends."""
    before = (sys.executable, "-c", LOADED)
    ended = workspace.ready(command.rstrip("_"), *words, before=before, environ={"COMMAND": command})
    return set(ended.stderr.split())


@pytest.mark.parametrize("command", ["import_", "build", "maintain", "destroy"])
def test_help(workspace, command):
    modules = imported(workspace, command, "--help")
    assert "occopus_core" in modules
    assert modules & SLOW == set()


def test_the_list(ready):
    ready.ready("build", "trial.yaml")
    modules = imported(ready, "maintain", "-l")
    assert "sqlite3" in modules
    assert modules & SLOW == set()


def test_the_measure_measures(ready):
    assert {"sqlalchemy", "jinja2"} <= imported(ready, "build", "trial.yaml", "--plan")
