"""The smallest plugins of docs/plugins.md conform; the tables of docs/testing.md name every clause."""

from __future__ import annotations

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


def test_a_clause_that_does_not_exist_cannot_be_declined():
    class Harness(FolderManagerHarness):
        not_applicable = {"hnag": "a slip"}

    assert "hnag" in str(config.failures(Harness, ["hang"])["hang"])
