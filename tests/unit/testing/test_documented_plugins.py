"""The smallest plugins of docs/plugins.md conform; the tables of docs/testing.md name every clause."""

from __future__ import annotations

import re

import pytest

from occopus_core.testing import config, conformance, context, health, notify, suite
from tests.unit.testing.documented import (
    DOCS,
    BannerHarness,
    FileNotifierHarness,
    FolderManagerHarness,
    script_harness,
)

SUITES = {
    "conformance": conformance.ResourceHandlerConformance,
    "config": config.ConfigManagerConformance,
    "health": health.HealthCheckerConformance,
    "context": context.ContextualiserConformance,
    "notify": notify.NotifierConformance,
}


@pytest.mark.parametrize(
    ("failures", "harness"),
    [
        (config.failures, FolderManagerHarness),
        (health.failures, BannerHarness),
        (context.failures, script_harness),
        (notify.failures, FileNotifierHarness),
    ],
    ids=["config", "health", "context", "notify"],
)
def test_the_smallest_plugin_conforms(failures, harness):
    assert failures(harness) == {}


@pytest.mark.parametrize("module", SUITES)
def test_the_documentation_lists_every_clause_with_what_it_asks(module):
    page = (DOCS / "testing.md").read_text("utf-8").partition(f"<!-- clauses: {module} -->\n")[2]
    table = page.removeprefix("| clause | what it asks |\n|---|---|\n").partition("\n\n")[0]
    asks = suite.describe(SUITES[module])
    assert table.splitlines() == [f"| `{clause}` | {text} |" for clause, text in asks.items()]


def rows(page, heading):
    """The names in the first column of the table below a heading."""
    table = (DOCS / page).read_text("utf-8").partition(f"| {heading} |")[2].partition("\n\n")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    return [name for cell in cells for name in re.findall(r"`(\w+)", cell)]


def test_the_documentation_lists_every_part_of_a_harness_of_configuration_managers():
    parts = {name for name in dir(config.ConfigHarness) if not name.startswith("_")} | {"installation"}
    assert set(rows("testing.md", "of `ConfigHarness` | default | what it is")) == parts


def test_the_documentation_lists_every_part_of_a_harness_of_handlers():
    parts = {name for name in dir(conformance.ResourceHarness) if not name.startswith("_")} | {"installation"}
    table = (DOCS / "testing.md").read_text("utf-8").partition("| of `ResourceHarness` |")[2].partition("\n\n")[0]
    named = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)", line.split(" | ")[0])]
    assert set(named) == parts


@pytest.mark.parametrize("kind", [conformance.ResourceHarness, config.ConfigHarness])
def test_the_defaults_of_a_harness_are_those_documented(kind):
    table = (DOCS / "testing.md").read_text("utf-8").partition(f"| of `{kind.__name__}` |")[2].partition("\n\n")[0]
    numbers = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", table, re.MULTILINE))
    assert {"patience", "crowd", "short_timeout", "grace"} <= numbers.keys()
    assert {name: float(number) for name, number in numbers.items()} == {name: getattr(kind, name) for name in numbers}


def test_the_documentation_lists_every_fault():
    heading = "`Fault` | what the provider does | injected into | the handler raises"
    assert rows("testing.md", heading) == [fault.name for fault in conformance.Fault]


def test_a_clause_that_does_not_exist_cannot_be_declined():
    class Harness(FolderManagerHarness):
        not_applicable = {"hnag": "a slip"}

    assert "hnag" in str(config.failures(Harness, ["hang"])["hang"])
