"""Messages and exit codes of the commands in case of errors."""

import sqlite3
from contextlib import closing

import pytest

from occopus_core import registry
from occopus_core.api.errors import AuthError, PermanentError
from occopus_core.cli import build, destroy, import_, maintain, output
from occopus_core.cli.exits import ExitCode
from occopus_core.cli.output import OutputError
from occopus_core.cli.session import guarded, load_credentials
from occopus_core.engine.passes.errors import (
    BuildError,
    BusyError,
    InterruptedBuildError,
    UnconfirmedError,
)
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.manager import InfraIdError
from occopus_core.registry import PluginError
from occopus_core.store import engines
from occopus_core.store.records import LeaseLostError, NoSuchInfrastructureError, StoreError

# stevedore has deprecated an option that the registry uses.

UNDONE_IN_PART = "the build failed; what could be undone was undone"
CASES = [
    (BuildError(["a", "b"], ["c"]), 1, ["error: a", "error: b", UNDONE_IN_PART, "unconfirmed: c"]),
    (InterruptedBuildError(["why"]), 1, ["error: why", "the build failed and was undone"]),
    (UnconfirmedError(["c", "d"]), 5, ["unconfirmed: c", "unconfirmed: d"]),
    (InvalidDesignError(["a", "b"]), 2, ["error: a", "error: b"]),
    (PluginError("no plugin"), 2, ["error: no plugin"]),
    (InfraIdError("no id"), 2, ["error: no id"]),
    (NoSuchInfrastructureError("x"), 3, ["error: no infrastructure has the id 'x'; occopus-maintain -l lists them"]),
    (StoreError("away:\n\tquite\n"), 4, ["error: away: quite"]),
    (BusyError("busy"), 4, ["error: busy"]),
    (LeaseLostError("lost"), 4, ["error: lost"]),
    (OutputError("full"), 4, ["error: full"]),
    (PermanentError("no"), 1, ["error: no"]),
    (AuthError("who?"), 1, ["error: who?"]),
]


@pytest.mark.parametrize(("error", "code", "lines"), CASES, ids=lambda value: type(value).__name__)
def test_an_error_has_a_code_and_lines(error, code, lines, capsys):
    def run() -> int:
        raise error

    assert guarded(run) == code
    assert capsys.readouterr() == ("", "".join(f"{line}\n" for line in lines))


def test_what_must_not_happen_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 // 0)


def test_the_help_lists_every_exit_code(capsys):
    with pytest.raises(SystemExit):
        build.main(["--help"])
    listed = capsys.readouterr().out.split("exit codes:")[1]
    assert all(str(code.value) in listed for code in ExitCode)


@pytest.mark.parametrize(
    ("command", "words"),
    [(import_, ["nodes.yaml"]), (build, ["infra.yaml"]), (maintain, ["-ri", "x"]), (destroy, ["-i", "x"])],
    ids=["import", "build", "maintain", "destroy"],
)
def test_a_store_that_stays_locked(home, command, words, monkeypatch, capsys):
    (home / "nodes.yaml").write_text("node_def:w: [{resource: {type: local}}]")
    (home / "infra.yaml").write_text("{user_id: me, infra_name: t, nodes: [{name: w, type: w}]}")
    monkeypatch.setattr(engines, "BUSY_TIMEOUT", 0)
    with closing(sqlite3.connect(home / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert command.main(words) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: the store {home}/store.db cannot be used: database is locked\n"


def test_a_missing_plugin_is_named_with_its_package(home, monkeypatch, capsys):
    folders = {"resource": {"some_cloud": "plugins/resource/some_cloud"}}
    monkeypatch.setattr(registry, "_published", lambda: folders)
    (home / "nodes.yaml").write_text("node_def:w:\n  - resource:\n      type: some_cloud\n")
    assert import_.main(["nodes.yaml"]) == 2
    assert capsys.readouterr().err == (
        "error: nodes.yaml:3:13: node_def:w[0].resource.type: no resource handler 'some_cloud' is installed: "
        "pip install ./plugins/resource/some_cloud in a checkout of Occopus\n"
    )


def test_messages_contain_no_secrets(home, monkeypatch, capsys):
    monkeypatch.setattr(output, "_redactors", [])
    (home / "auth.yaml").write_text("resource: [{type: sim, auth_data: {api_key: open-sesame}}]")
    load_credentials("auth.yaml")
    output.say("refused: open-sesame")
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("warning: auth.yaml: other users can read this file")
    assert said[1] == "refused: ***"
