"""Where the variable CI is set, a test fails that would be skipped because a real part is not installed."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

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
