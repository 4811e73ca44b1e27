"""Of all tests: a missing real part fails one where the variable CI is set, and none depends on chance or on speed."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, unless a test says otherwise, however long they take.
settings.register_profile("occopus", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("occopus")

MISSING = "not installed"
"""Stands in the reason of every skip for a missing real part."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The report of one phase of a test, failed instead of skipped where a real part is missing in CI."""
    report = yield
    reason: Any = report.longrepr
    if report.skipped and os.environ.get("CI") and MISSING in str(reason):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason[-1] if isinstance(reason, tuple) else reason}"
    return report
