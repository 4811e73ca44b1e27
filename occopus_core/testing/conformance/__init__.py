"""The conformance suite of resource handlers: one test for each clause of `occopus_core.api.resource`.

A plugin inherits `ResourceHandlerConformance` and gives it a fixture `harness`, a new `ResourceHarness` for each test::

    class TestConformance(ResourceHandlerConformance):
        @pytest.fixture
        def harness(self):
            harness = MyHarness()
            yield harness
            harness.close()

`failures` runs the same clauses without pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("base", "content", "failures", "features", "lifecycle", "shape", "states")),
)

from occopus_core.api import ContextForm, ResourceHandler  # noqa: E402
from occopus_core.testing import suite  # noqa: E402
from occopus_core.testing.conformance.content import ContentClauses, PageClauses  # noqa: E402
from occopus_core.testing.conformance.failures import FailureClauses  # noqa: E402
from occopus_core.testing.conformance.features import EnsureClauses, LogsClauses, MarkClauses, StopClauses  # noqa: E402
from occopus_core.testing.conformance.harness import (  # noqa: E402
    GARBLED,
    OPERATIONS,
    OPTIONAL,
    PRINTED,
    Fault,
    FaultInjector,
    Kind,
    Operation,
    ResourceHarness,
)
from occopus_core.testing.conformance.lifecycle import (  # noqa: E402
    CreateClauses,
    DeleteClauses,
    DescribeClauses,
    ListClauses,
)
from occopus_core.testing.conformance.shape import ShapeClauses  # noqa: E402
from occopus_core.testing.conformance.states import StateClauses  # noqa: E402

__all__ = [
    "CLAUSES",
    "GARBLED",
    "OPERATIONS",
    "OPTIONAL",
    "PRINTED",
    "Fault",
    "FaultInjector",
    "Kind",
    "Operation",
    "ResourceHandlerConformance",
    "ResourceHarness",
    "declined",
    "failures",
]


class ResourceHandlerConformance(
    ShapeClauses,
    CreateClauses,
    ListClauses,
    DescribeClauses,
    DeleteClauses,
    PageClauses,
    ContentClauses,
    StateClauses,
    EnsureClauses,
    StopClauses,
    MarkClauses,
    LogsClauses,
    FailureClauses,
    suite.Suite,
):
    """Every clause of the contract as a test. Its subclass has a fixture `harness`."""

    @classmethod
    def left_out(cls, harness: ResourceHarness) -> Mapping[str, str]:
        """The clauses that the harness excludes, and those that the handler or the harness does not support."""
        return declined(harness)


CLAUSES = suite.clauses(ResourceHandlerConformance)
"""The names of all clauses."""


def failures(harness: Callable[[], ResourceHarness], clauses: Collection[str] = CLAUSES) -> dict[str, Exception]:
    """See `occopus_core.testing.suite.failures`; clauses that handler or harness do not support are left out."""
    return suite.failures(ResourceHandlerConformance, harness, clauses)


def declined(harness: ResourceHarness) -> dict[str, str]:
    """The clauses that the harness excludes, with the reason. Raises `ValueError` for an unknown clause."""
    named = suite.declined(ResourceHandlerConformance, harness)
    known = harness.faults.faults if harness.faults is not None else frozenset()
    return {**_undeclared(type(harness.handler())), **_unknown_faults(known), **named}


def _undeclared(handler: type[ResourceHandler]) -> dict[str, str]:
    """The clauses about forms of context and features that the handler does not declare."""
    about = {clause: _mark(clause, "declares", None) for clause in CLAUSES}
    return {
        clause: f"the handler declares no {type(each).__name__}.{each.name}"
        for clause, each in about.items()
        if each is not None
        and each not in (handler.context_forms if isinstance(each, ContextForm) else handler.features)
    }


def _unknown_faults(known: Collection[Fault]) -> dict[str, str]:
    """The clauses with faults that the harness, perhaps an older one, cannot inject."""
    wanted = {clause: _mark(clause, "needs", ()) for clause in CLAUSES}
    missing = {clause: [fault.name for fault in faults if fault not in known] for clause, faults in wanted.items()}
    return {
        clause: f"the harness cannot inject {' and '.join(names)}: let it, and name them in `FaultInjector.faults`"
        for clause, names in missing.items()
        if names
    }


def _mark(clause: str, name: str, default: Any) -> Any:
    return getattr(getattr(ResourceHandlerConformance, f"test_{clause}"), name, default)
