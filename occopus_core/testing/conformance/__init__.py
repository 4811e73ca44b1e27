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

from collections.abc import Callable, Collection

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("base", "failures", "lifecycle", "shape")),
)

from occopus_core.testing.conformance.failures import FailureClauses  # noqa: E402
from occopus_core.testing.conformance.harness import (  # noqa: E402
    OPERATIONS,
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

__all__ = [
    "CLAUSES",
    "OPERATIONS",
    "Fault",
    "FaultInjector",
    "Kind",
    "Operation",
    "ResourceHandlerConformance",
    "ResourceHarness",
    "failures",
]

_PREFIX = "test_"


class ResourceHandlerConformance(
    ShapeClauses, CreateClauses, ListClauses, DescribeClauses, DeleteClauses, FailureClauses
):
    """Every clause of the contract as a test. Its subclass has a fixture `harness`."""

    @pytest.fixture(autouse=True)
    def _applicable(self, request: pytest.FixtureRequest, harness: ResourceHarness) -> None:
        reason = _declared(harness).get(request.function.__name__.removeprefix(_PREFIX))
        if reason:
            pytest.skip(reason)


CLAUSES = tuple(name.removeprefix(_PREFIX) for name in dir(ResourceHandlerConformance) if name.startswith(_PREFIX))
"""The names of all clauses."""


def failures(harness: Callable[[], ResourceHarness], clauses: Collection[str] = CLAUSES) -> dict[str, Exception]:
    """Run clauses, each on a harness of its own, which is closed; the error of each one that failed.

    Clauses that a harness declares not applicable are left out.
    """
    failed: dict[str, Exception] = {}
    for clause in clauses:
        stage = harness()
        try:
            if clause not in _declared(stage):
                getattr(ResourceHandlerConformance(), f"{_PREFIX}{clause}")(stage)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the handler does not conform
            failed[clause] = error
        finally:
            stage.close()
    return failed


def _declared(harness: ResourceHarness) -> dict[str, str]:
    """What the harness declares not applicable. Raises `ValueError` for a clause that does not exist."""
    unknown = sorted(set(harness.not_applicable) - set(CLAUSES))
    if unknown:
        raise ValueError(f"not_applicable names clauses that do not exist: {', '.join(unknown)}")
    return dict(harness.not_applicable)
