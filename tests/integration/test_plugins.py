"""``occopus-plugins`` as users run it, with some broken plugins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.plugins import CHECKER, put

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
GOOD = CHECKER.format(version=1)
BROKEN = {
    "away": ("import nothing_of_this_name", "import error", "No module named 'nothing_of_this_name'"),
    "ended": (
        "raise SystemExit('leaving')",
        "import error",
        "SystemExit (plugin_ended.py, line 1)",
    ),
    "stopped": (
        "raise KeyboardInterrupt('leaving')",
        "import error",
        "KeyboardInterrupt (plugin_stopped.py, line 1)",
    ),
    "older": (CHECKER.format(version=0), "other contract", "speaks version 0 of the plugin contract"),
    "bent": (GOOD.replace("{}", "{'type': 7}"), "malformed schema", "is not a JSON Schema: 7 at /type"),
}


@pytest.fixture
def broken(workspace):
    """A workspace with plugins that cannot be used, one that can and is loud, and a clash."""
    folder = workspace.folder / "installed"
    folder.mkdir()
    for name, (text, _, _) in BROKEN.items():
        put(folder, f"of-{name}", name, f"plugin_{name}:Checker", text)
    put(folder, "of-loud", "loud", "plugin_loud:Checker", f"print('good morning')\n{GOOD}")
    for number in ("first", "second"):
        put(folder, f"{number}-twin", "twin", f"plugin_{number}_twin:Checker", GOOD)
    workspace.environ["PYTHONPATH"] = str(folder)
    return workspace


def test_every_plugin_has_its_line_and_every_broken_one_its_reason(broken):
    listed = broken.ready("plugins", "list")
    lines = {tuple(line.split()[:2]): line for line in listed.stdout.splitlines()}
    for name, (_, state, reason) in BROKEN.items():
        assert state in lines["health", name]
        assert reason in lines["health", name]
    assert lines["health", "twin"].endswith("is provided by first-twin and by second-twin: uninstall one of them")
    assert [line for line in lines.values() if "usable" in line and "loud" in line]
    assert lines["resource", "sim"].split() == ["resource", "sim", "occopus-resource-sim", "2.0.0.dev0", "1", "usable"]
    assert "good morning" not in listed.stdout


def test_a_requirement_that_is_not_met_is_marked(workspace):
    folder = workspace.folder / "installed"
    folder.mkdir()
    put(folder, "of-early", "early", "plugin_early:Checker", GOOD, requires=["occopus-core<1"])
    workspace.environ["PYTHONPATH"] = str(folder)
    need = "occopus-core<1 (2.0.0.dev0, not met)"
    (line,) = [line for line in workspace.ready("plugins", "list").stdout.splitlines() if " early " in line]
    assert line.endswith(f"usable  its distribution needs {need}")
    assert f"  needs            {need}" in workspace.ready("plugins", "show", "early").stdout.splitlines()


def test_the_list_as_json_has_the_same(broken):
    plugins = json.loads(broken.ready("plugins", "list", "-o", "json").stdout)["plugins"]
    states = {one["type"]: one["state"] for one in plugins if one["kind"] == "health"}
    assert states["twin"] == "clash"
    assert {name: states[name] for name in BROKEN} == {name: state for name, (_, state, _) in BROKEN.items()}


def test_show_says_what_a_plugin_is_about(broken):
    shown = broken.ready("plugins", "show", "resource/sim").stdout.splitlines()
    assert shown[0] == "resource handler sim"
    assert any(line.split()[:2] == ["distribution", "occopus-resource-sim"] for line in shown)
    assert "    endpoint (string, required)" in shown
    assert any("urllib3" in line and "needs" in line for line in shown)
    both = json.loads(broken.ready("plugins", "show", "sim", "-o", "json").stdout)["plugins"]
    assert [one["kind"] for one in both] == ["resource", "config"]
    assert "endpoint" in both[0]["connection_keys"]
    bent = broken.ready("plugins", "show", "bent").stdout
    assert "malformed schema" in bent


@pytest.mark.parametrize("action", ["show", "check"])
def test_what_is_not_installed_is_code_3_with_what_is(broken, action):
    ended = broken.run("plugins", action, "ghost")
    assert ended.code == 3
    (line,) = [line for line in ended.complaint if line.startswith("error")]
    assert line.startswith("error: no plugin 'ghost' is installed; installed are: ")
    assert ended.stdout == ""


def test_schemas_are_written_of_all_that_can_be_used(broken):
    written = broken.ready("plugins", "schema", "--output", "schemas")
    folder = broken.folder / "schemas"
    files = [str(folder / path.name) for path in folder.iterdir()]
    assert sorted(written.stdout.splitlines()) == sorted(files)
    sections = json.loads((folder / "node_definitions.schema.json").read_text())["definitions"]
    assert {"health.loud", "resource.sim"} <= sections.keys()
    assert not {f"health.{name}" for name in (*BROKEN, "twin")} & sections.keys()
    for name in BROKEN:
        assert [line for line in written.complaint if line.startswith("warning: left out: ") and f"'{name}'" in line]
    assert len([line for line in written.complaint if "'twin'" in line]) == 1
    catalog = json.loads((folder / "catalog.json").read_text())
    assert {one["url"] for one in catalog["schemas"]} == {
        (folder / path.name).as_uri() for path in folder.iterdir() if path.name != "catalog.json"
    }


def test_without_a_folder_the_schemas_are_in_the_home(workspace):
    workspace.ready("plugins", "schema")
    assert (workspace.home / ".occopus" / "schemas" / "catalog.json").is_file()


def test_the_schema_of_one_plugin_is_printed(broken):
    printed = json.loads(broken.ready("plugins", "schema", "resource/sim").stdout)
    assert printed["required"] == ["endpoint"]
    assert broken.ready("plugins", "schema", "loud").complaint == ["good morning"]
    for words, code, complaint in (
        ("sim", 2, "error: 2 plugins are called 'sim': say config/sim or resource/sim"),
        ("bent", 1, "error: the health checker 'bent' of of-bent has a malformed schema: "),
        ("twin", 1, "error: the health checker 'twin' is provided by first-twin and by second-twin"),
        ("ghost", 3, "error: no plugin 'ghost' is installed"),
    ):
        ended = broken.run("plugins", "schema", words)
        assert (ended.code, ended.stdout) == (code, "")
        assert ended.complaint[-1].startswith(complaint)
    assert not (broken.home / ".occopus" / "schemas").exists()


def test_a_folder_that_cannot_be_written_is_said(workspace):
    workspace.write("taken", "")
    ended = workspace.run("plugins", "schema", "--output", "taken")
    assert (ended.code, len(ended.complaint)) == (2, 1)
    assert "taken cannot be written" in ended.complaint[0]


def test_check_runs_the_suite_on_the_harness_that_is_shipped(workspace):
    checked = workspace.ready("plugins", "check", "context/docker")
    *clauses, total = checked.stdout.splitlines()
    assert total.startswith(f"context/docker: {len(clauses)} passed, 0 failed, 0 declined in ")
    assert all(line.startswith("passed ") for line in clauses)


def test_check_says_which_clause_fails_and_why(workspace):
    folder = workspace.folder / "installed"
    folder.mkdir()
    text = """
from occopus_core.api import Context, ContextForm, Contextualiser
from occopus_core.testing.context import TEMPLATE, ContextHarness

class Untrue(Contextualiser):
    contract_version = 1
    forms = frozenset({ContextForm.USER_DATA})

    @classmethod
    def schema(cls):
        return {"type": "object", "properties": {"lines": {"type": "array"}}}

    def contextualise(self, section, render):
        return Context(user_data=str(section["lines"]))

class Harness(ContextHarness):
    not_applicable = {"no_io": "it is not watched"}

    def __init__(self):
        super().__init__(Untrue, {"lines": [TEMPLATE]})

def nothing():
    raise RuntimeError("no server here")

def leaving():
    import os
    os._exit(5)
"""
    put(folder, "of-untrue", "untrue", "plugin_untrue:Untrue", text, kind="context")
    points = folder / "of_untrue-1.0.dist-info" / "entry_points.txt"
    given = points.read_text()
    workspace.environ["PYTHONPATH"] = str(folder)
    points.write_text(f"{given}[occopus.harness]\ncontext.untrue = plugin_untrue:Harness\n")
    checked = workspace.run("plugins", "check", "untrue")
    assert checked.code == 1
    lines = checked.stdout.splitlines()
    assert "failed    schema_describes_every_property: properties without a description: lines" in lines
    assert "declined  no_io: it is not watched" in lines
    assert lines[-1].startswith("context/untrue: ")
    points.write_text(f"{given}[occopus.harness]\ncontext.untrue = plugin_untrue:nothing\n")
    unmade = workspace.run("plugins", "check", "untrue")
    assert unmade.code == 1
    assert unmade.stdout == ""
    (line,) = unmade.complaint
    assert line.startswith(
        "error: context/untrue cannot be checked: its harness plugin_untrue:nothing makes no harness: "
    )
    assert line.endswith(": RuntimeError: no server here (plugin_untrue.py, line 23); report it to its author")
    points.write_text(f"{given}[occopus.harness]\ncontext.untrue = plugin_untrue:leaving\n")
    cut = workspace.run("plugins", "check", "untrue")
    assert (cut.code, cut.stdout) == (1, "")
    (line,) = cut.complaint
    assert line.endswith("the process of the suite ended with code 5 while loading its harness")
    points.write_text(given)
    harmless = workspace.run("plugins", "check", "untrue")
    assert harmless.code == 3
    (line,) = harmless.complaint
    assert line.startswith("error: there is no harness for context/untrue: ")
    assert line.endswith("the entry point context.untrue of the group occopus.harness")


def test_check_of_what_cannot_be_used_is_its_reason(broken):
    ended = broken.run("plugins", "check", "older")
    assert ended.code == 1
    assert [line for line in ended.complaint if "speaks version 0 of the plugin contract" in line]


def test_a_kind_or_a_name_that_cannot_be_is_refused(workspace):
    for words in (["new", "cloud", "acme"], ["new", "resource", "Acme-Cloud"], ["new", "health", "_x"]):
        ended = workspace.run("plugins", *words)
        assert ended.code == 2
        assert "error: argument" in ended.stderr
    assert list(workspace.folder.glob("occopus-*")) == []


def test_without_its_extra_new_says_what_is_missing(workspace):
    blocked = workspace.folder / "blocked"
    blocked.mkdir()
    (blocked / "copier.py").write_text("raise ModuleNotFoundError('No module', name='copier')")
    workspace.environ["PYTHONPATH"] = str(blocked)
    ended = workspace.run("plugins", "new", "health", "acme")
    (line,) = ended.complaint
    assert ended.code == 4
    assert line.startswith("error: copier is not installed: it comes with the extra [template] of occopus-core: ")
    assert line.endswith(f" -m pip install -e '{ROOT}[template]'")


def test_programs_of_tests_say_which_extra_they_need(workspace):
    blocked = workspace.folder / "blocked"
    blocked.mkdir()
    (blocked / "uvicorn.py").write_text("raise ModuleNotFoundError('No module', name='uvicorn')")
    workspace.environ["PYTHONPATH"] = str(blocked)
    for command, extra in (("simulated-cloud", "testing"), ("simulated-manager", "testing"), ("rest-service", "rest")):
        ended = workspace.run(command, *(["--database", "x.db"] if command != "rest-service" else []))
        assert ended.code == 4, ended
        assert ended.complaint == [
            f"error: uvicorn is not installed: it comes with the extra [{extra}] of occopus-core"
        ]
