"""The conformance suite: a good handler passes it, and each broken one fails the clause it breaks."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from occopus_core.testing.broken import BROKEN
from occopus_core.testing.broken.failures import SeesNothingInGarbage
from occopus_core.testing.conformance import CLAUSES, FaultInjector, ResourceHandlerConformance, declined, failures
from occopus_core.testing.conformance.simulated import CloudFaults, MemoryHarness


class TestMemoryHandler(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self):
        harness = MemoryHarness()
        yield harness
        harness.close()


@pytest.mark.parametrize(("handler", "clause"), BROKEN.items(), ids=[handler.__name__ for handler in BROKEN])
def test_a_broken_handler_fails_its_clause(handler, clause):
    assert clause in failures(functools.partial(MemoryHarness, handler), [clause])


def test_every_clause_has_a_handler_that_breaks_it():
    assert set(CLAUSES) - set(BROKEN.values()) == set(MemoryHarness.not_applicable)


def test_run_without_pytest_finds_nothing_wrong_with_a_good_handler():
    assert failures(MemoryHarness) == {}


def test_run_without_pytest_finds_all_that_is_wrong():
    handler = next(handler for handler in BROKEN if handler.__name__ == "IgnoresTokens")
    found = failures(functools.partial(MemoryHarness, handler))
    assert {"create_repeated_is_the_same_instance", "listed_with_token_and_owner"} <= set(found)
    assert "schema_is_valid" not in found


def test_a_capability_that_is_missing_and_not_declared_is_a_failure():
    class Harness(MemoryHarness):
        def __init__(self):
            super().__init__()
            self.faults = None

        def provider_calls(self):
            return None

    found = failures(Harness, ["hang", "making_calls_nobody"])
    assert "not_applicable" in str(found["hang"])
    assert "not_applicable" in str(found["making_calls_nobody"])


def test_declaring_a_clause_that_does_not_exist_is_a_failure():
    class Harness(MemoryHarness):
        not_applicable = {"hnag": "a slip"}

    assert "hnag" in str(failures(Harness, ["hang"])["hang"])


def test_a_harness_that_is_older_than_a_fault_declines_its_clauses():
    class Faults(CloudFaults):
        faults = FaultInjector.faults

    class Harness(MemoryHarness):
        def __init__(self):
            super().__init__(SeesNothingInGarbage)
            self.faults = Faults(self.cloud)

    clauses = [clause for clause in CLAUSES if clause.startswith("garbled_reply")]
    assert len(clauses) == 3
    assert failures(Harness, [*clauses, "errors_keep_secrets"]) == {}
    reason = "the harness cannot inject CUT_REPLY and FOREIGN_REPLY: let it, and name them in `FaultInjector.faults`"
    assert declined(Harness()) == {**MemoryHarness.not_applicable, **dict.fromkeys(clauses, reason)}


def test_every_clause_quotes_the_contract():
    for clause in CLAUSES:
        assert getattr(ResourceHandlerConformance, f"test_{clause}").__doc__


def test_the_documentation_lists_every_clause_with_what_it_asks():
    page = (Path(__file__).parents[3] / "docs" / "testing.md").read_text("utf-8")
    table = page.partition("| clause | what it asks |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = {clause: getattr(ResourceHandlerConformance, f"test_{clause}").__doc__ for clause in CLAUSES}
    assert table.splitlines() == [f"| `{clause}` | {asks} |" for clause, asks in rows.items()]
