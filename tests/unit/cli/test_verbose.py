"""``--version`` and ``-v``, and colours only where they are wanted."""

from __future__ import annotations

import configparser
import io
import logging
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from occopus_core.api import Connection, PermanentError
from occopus_core.cli import build, destroy, import_, logs, maintain, output, plugins, rest_service, scale, ssh
from occopus_core.cli.live import _View
from occopus_core.cli.session import log_calls
from occopus_core.engine.kernel.call_log import LOGGER, logging_calls
from occopus_core.engine.kernel.guard import guarding
from occopus_core.error_place import UNEXPECTED
from occopus_core.events import Event, EventKind

COMMANDS = {
    "build": build,
    "destroy": destroy,
    "import": import_,
    "logs": logs,
    "maintain": maintain,
    "plugins": plugins,
    "rest-service": rest_service,
    "scale": scale,
    "ssh": ssh,
}
CONNECTION = Connection("cloud", {}, {"secret": "open-sesame"})


@pytest.fixture
def verbose(monkeypatch):
    monkeypatch.setattr(output, "_redactors", [])
    logs = [logging.getLogger(name) for name in (LOGGER, UNEXPECTED)]
    before = [(list(log.handlers), log.level, log.propagate) for log in logs]
    log_calls(verbose=True)
    yield
    for log, (handlers, level, propagate) in zip(logs, before, strict=True):
        log.handlers[:], log.propagate = handlers, propagate
        log.setLevel(level)


class Cloud:
    poll_seconds = (1.0, 2.0)

    def __init__(self, connection):
        self.secret = connection.auth["secret"]

    def describe(self, ids):
        return dict.fromkeys(ids, "running")

    def delete(self, ids):
        raise PermanentError(f"not with {self.secret}")

    def schema(self):
        return {}


def hidden(text):
    return text.replace("open-sesame", "***")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_version(name, capsys):
    with pytest.raises(SystemExit) as ended:
        COMMANDS[name].main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"occopus-{name} {version('occopus-core')}\n"


def test_all_commands_are_covered():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(Path(__file__).parents[3] / "setup.cfg")
    scripts = parser["options.entry_points"]["console_scripts"].split("\n")
    named = {line.partition("=")[0].strip().removeprefix("occopus-") for line in scripts if "cli.entry" in line}
    assert named == set(COMMANDS)


@pytest.mark.usefixtures("verbose")
def test_each_call_is_a_line_without_secrets(capsys):
    cloud = logging_calls(Cloud, "cloud http://there", hidden)(CONNECTION)
    assert cloud.describe(["a", "b"]) == {"a": "running", "b": "running"}
    with pytest.raises(PermanentError):
        cloud.delete(["a"])
    assert (cloud.schema(), cloud.poll_seconds) == ({}, (1.0, 2.0))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ cloud http://there: "
    assert re.fullmatch(time + r"describe \(2\) took \d+\.\d\d s", lines[0])
    assert re.fullmatch(time + r"delete \(1\) took \d+\.\d\d s, failed: not with \*\*\*", lines[1])


class UnreadableError(Exception):
    def __str__(self):
        raise ValueError("open-sesame")


@pytest.mark.usefixtures("verbose")
def test_an_exception_that_the_contract_does_not_allow_is_a_line_and_a_traceback(capsys):
    def describe(self, ids):
        raise UnreadableError

    cloud = guarding(
        logging_calls(type("Odd", (Cloud,), {"describe": describe}), "cloud", hidden), lambda: "it", hidden
    )
    with pytest.raises(PermanentError, match=r"it breaks its contract: describe\(\) raised UnreadableError \("):
        cloud(CONNECTION).describe(["a"])
    text = capsys.readouterr().err
    assert "failed: UnreadableError (tests/unit/cli/test_verbose.py, line " in text
    assert "Traceback" in text
    assert "open-sesame" not in text


def test_without_it_plugins_are_what_they_are():
    assert logging_calls(Cloud, "cloud", hidden) is Cloud


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color(environ, coloured):
    terminal = {"TERM": "xterm-256color", **environ}
    console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ=terminal)
    _View().handle(Event(EventKind.NODE_READY, "i", "db", "0123456789", "127.0.0.9"), Live(console=console))
    shown = console.file.getvalue()
    assert ("\x1b[" in shown) is coloured
    assert "node ready db 01234567" in shown
