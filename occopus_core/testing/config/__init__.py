"""Conformance of configuration managers: what `occopus_core.api.config` asks of them, as an abstract pytest class.

A plugin inherits `ConfigManagerConformance` and gives it a fixture `harness`, a new `ConfigHarness` for each test::

    class TestConformance(ConfigManagerConformance):
        @pytest.fixture
        def harness(self):
            harness = AcmeHarness()
            yield harness
            harness.close()

`failures(AcmeHarness)` runs the same clauses without pytest.
"""

from __future__ import annotations

import functools

import pytest

pytest.register_assert_rewrite("occopus_core.testing.config.clauses", "occopus_core.testing.config.harness")

from occopus_core.testing import suite  # noqa: E402
from occopus_core.testing.config.clauses import FailureClauses, JobClauses, RegisterClauses, ShapeClauses  # noqa: E402
from occopus_core.testing.config.harness import OPERATIONS, ConfigHarness, Kind, Operation, node  # noqa: E402

__all__ = [
    "CLAUSES",
    "OPERATIONS",
    "ConfigHarness",
    "ConfigManagerConformance",
    "Kind",
    "Operation",
    "failures",
    "node",
]


class ConfigManagerConformance(ShapeClauses, RegisterClauses, JobClauses, FailureClauses, suite.Suite):
    """Every clause of the contract. Derive from it, name the class ``Test…`` and give it the fixture `harness`."""


CLAUSES = suite.clauses(ConfigManagerConformance)
"""The names of all clauses."""
failures = functools.partial(suite.failures, ConfigManagerConformance)
"""Run clauses on harnesses without pytest; see `occopus_core.testing.suite.failures`."""
