"""The conformance suite: a correct handler passes it, and each broken one fails its clause."""

from __future__ import annotations

import functools
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from occopus_core.api import Context, ContextForm
from occopus_core.testing.broken import BROKEN, content, shape, states
from occopus_core.testing.broken.failures import SeesNothingInGarbage
from occopus_core.testing.conformance import (
    CLAUSES,
    FaultInjector,
    ResourceHandlerConformance,
    ResourceHarness,
    declined,
    failures,
)
from occopus_core.testing.conformance.simulated import CloudFaults, MemoryHarness
from occopus_core.testing.memory import MemoryHandler


class TestMemoryHandler(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self):
        harness = MemoryHarness()
        yield harness
        harness.close()


@pytest.mark.parametrize(("handler", "clause"), BROKEN.items(), ids=[handler.__name__ for handler in BROKEN])
def test_a_broken_handler_fails_its_clause(handler, clause):
    assert clause in failures(functools.partial(MemoryHarness, handler), [clause])


def message(handler, clause):
    return str(failures(functools.partial(MemoryHarness, handler), [clause])[clause])


@pytest.mark.parametrize(
    ("handler", "clause", "says"),
    [
        (
            content.DescribesFirstPage,
            "describe_reads_every_page",
            "describe misses 1 of 4 instances, and a page has 3: it must read every page",
        ),
        (content.ListsFirstPage, "list_reads_every_page", "list_owned finds 3 of 4 instances, and a page has 3"),
        (content.DeletesFirstPage, "delete_reaches_every_page", "delete leaves 1 of 4 instances, and a page has 3"),
        (content.DropsUserData, "user_data_arrives", "the instance was given no user data"),
        (states.StoppedIsReady, "stopped_is_stopped", "an instance that does not run is READY, not STOPPED"),
        (states.ListsStoppedAsReady, "stopped_is_stopped", "an instance that does not run is READY and STOPPED"),
        (states.ShuttingDownIsPending, "stop_in_its_own_time", "answer READY until it has stopped"),
        (states.UnknownIsReady, "unknown_is_unknown", "in a state that no handler knows is READY, not UNKNOWN"),
        (
            shape.InheritsItsVersion,
            "contract_version",
            "InheritsItsVersion inherits contract_version from MemoryHandler: add contract_version = 1 to the class",
        ),
        (
            shape.OmitsItsVersion,
            "contract_version",
            "OmitsItsVersion does not state the version of the contract: add contract_version = 1 to the class",
        ),
        (shape.LooksUpItsEndpoint, "constructor_does_no_io", "it does I/O: socket.getaddrinfo"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_message_says_what_is_wrong(handler, clause, says):
    assert says in message(handler, clause)


def test_a_page_that_the_harness_calls_small_and_is_not_is_found_out():
    class Harness(MemoryHarness):
        def __init__(self):
            super().__init__()
            self.cloud.set_limits()

    clause = "list_reads_every_page"
    assert "lower the provider's page size" in str(failures(Harness, [clause])[clause])


def test_a_harness_that_lacks_a_method_gets_its_name():
    class Harness(MemoryHarness):
        impose = ResourceHarness.impose

    found = failures(Harness, ["failed_is_failed"])
    assert str(found["failed_is_failed"]).startswith("the harness cannot put an instance into the state failed: let it")


def test_clauses_about_what_the_handler_does_not_declare_are_declined():
    class Plain(MemoryHandler):
        contract_version = 1
        context_forms = frozenset({ContextForm.PROCESS})
        features = frozenset()

    reasons = declined(MemoryHarness(Plain))
    assert reasons["user_data_arrives"] == "the handler declares no ContextForm.USER_DATA"
    assert reasons["stop_repeated"] == "the handler declares no Feature.STOP"
    assert "environment_and_command_arrive" not in reasons
    asked = [clause for clause in CLAUSES if clause != "schema_imports_no_sdk"]
    assert failures(functools.partial(MemoryHarness, Plain), asked) == {}


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


def test_a_handler_may_wait_for_a_program_within_a_time_limit():
    class Programs(MemoryHandler):
        contract_version = 1

        def create(self, request):
            subprocess.run(["sleep", "0.2"], check=True, timeout=60)
            return super().create(request)

    assert failures(functools.partial(MemoryHarness, Programs), ["create_and_delete_never_sleep"]) == {}


def test_a_handler_that_is_given_nothing_secret_has_nothing_to_hide():
    class Plain(MemoryHandler):
        contract_version = 1
        context_forms = frozenset()

    class Harness(MemoryHarness):
        connection = replace(MemoryHarness.connection, auth={})

        def request(self, token, owner, kind="plain"):
            return replace(super().request(token, owner, kind), context=Context())

    assert failures(functools.partial(Harness, Plain), ["repr_keeps_secrets"]) == {}
