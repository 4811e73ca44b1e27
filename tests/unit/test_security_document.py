"""SECURITY.md names each scope and what it reaches, and each plugin that reaches beyond its node."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from occopus_core.api import ConfigManager, HealthChecker, ResourceHandler
from occopus_core.installed import installed_plugins
from occopus_core.rest import routes
from occopus_core.store.tokens import Scope

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
FOR_TESTS = {"sim"}


def table(first_cell):
    """The rows of the table whose header begins with this, each as a list of cells."""
    lines = TEXT.partition(f"| {first_cell} |")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def scope_of(route):
    """The scope that a route asks for, None for one that takes every client."""
    asked = [
        cell.cell_contents
        for dependency in route.dependant.dependencies
        for cell in (getattr(dependency.call, "__closure__", None) or ())
        if isinstance(cell.cell_contents, Scope)
    ]
    assert len(asked) < 2
    return asked[0] if asked else None


def calls():
    """Each method and path of the API with its scope; parameters are all written ``{}``."""
    modules = [
        importlib.import_module(f"{routes.__name__}.{one.name}") for one in pkgutil.iter_modules(routes.__path__)
    ]
    return {
        (method, re.sub(r"{.*?}", "{}", route.path).rstrip("/")): scope_of(route)
        for module in modules
        for route in getattr(getattr(module, "router", None), "routes", ())
        if isinstance(route, APIRoute)
        for method in route.methods
    }


def documented():
    """The calls that the document names, with their scope."""
    named = {}
    for name, cell in table("scope | calls, with those of the scopes before it"):
        for method, path in re.findall(r"`([A-Z]+) (/[^`]*)`", cell):
            named[method, re.sub(r"\b(ID|NAME)\b", "{}", path)] = None if name == "none" else Scope(name.strip("`"))
    return named


def entry(method, path, named):
    """What the document names for a call: itself, or the call that it continues by parameters."""
    while (method, path) not in named and path.endswith("/{}"):
        path = path.removesuffix("/{}")
    return method, path


def test_there_are_calls_of_every_scope():
    assert set(calls().values()) == {None, *Scope}
    assert len(calls()) > 30


def test_each_call_is_named_with_its_scope_and_other_reading_needs_read():
    named = documented()
    wrong = {}
    for call, scope in calls().items():
        expected = named.get(entry(*call, named), Scope.READ if call[0] == "GET" else "not documented")
        if expected != scope:
            wrong[call] = (expected, scope)
    assert wrong == {}


def test_no_call_is_named_that_does_not_exist():
    named = documented()
    assert set(named) - {entry(*call, named) for call in calls()} == set()


def test_each_scope_has_its_reach():
    rows = {name.strip("`"): (reaches, not_reaches) for name, reaches, not_reaches in table("scope | reaches")}
    assert list(rows) == [scope.value for scope in Scope]
    assert all(len(cell) > 20 for row in rows.values() for cell in row)
    for before, scope in zip(list(Scope), list(Scope)[1:], strict=False):
        assert rows[scope.value][0].startswith(f"`{before.value}`"), "each includes the one before"


ROWS = {"health": "as health check", "config": "as configuration manager"}
"""How a plugin is called whose name another kind has, too."""
BASES = {"resource": ResourceHandler, "health": HealthChecker, "config": ConfigManager}
PLUGINS = [
    (plugin.type, plugin.kind, plugin.plugin)
    for plugin in installed_plugins()
    if plugin.kind in BASES and plugin.distribution.startswith("occopus-") and plugin.type not in FOR_TESTS
]


@pytest.mark.parametrize(("type", "kind", "plugin"), PLUGINS, ids=["-".join(one[:2]) for one in PLUGINS])
def test_each_plugin_is_named_and_is_refused_where_it_has_powers(type, kind, plugin):
    rows = [row for row in table("plugin | fetches or runs, beyond the node") if f"`{type}`" in row[0]]
    (row,) = [row for row in rows if len(rows) == 1 or ROWS.get(kind, "") in row[0]]
    jumps = "jump" in plugin.schema().get("properties", {})
    has_powers = jumps or plugin.powers.__func__ is not BASES[kind].powers.__func__
    assert ("refused" in row[2]) == has_powers, row


def test_the_ways_to_report_and_the_parties_are_named():
    reporting = TEXT.partition("## Reporting\n")[2].partition("\n## ")[0]
    assert "privately" in reporting
    parties = [row[0] for row in table("who | is trusted with")]
    for party in (
        "command line",
        "operator",
        "client",
        "node definition",
        "plugin",
        "provider",
        "foreign server",
        "node",
    ):
        assert any(party in one for one in parties), party


def test_the_tests_that_the_list_of_attacks_names_exist():
    text = (ROOT / "docs" / "rest.md").read_text("utf-8").partition("### What was tried, and what it got\n")[2]
    here = text.partition("| attack |")[0]
    folder = ROOT / re.search(r"Tested in `([^`]+)`", here)[1]
    files = [folder / name for name in re.findall(r"`(test_\w+\.py)`", here)]
    files += [ROOT / name for name in re.findall(r"`(tests/\S+\.py)`", text)]
    assert len(files) > 5
    assert [str(file) for file in files if not file.is_file()] == []
