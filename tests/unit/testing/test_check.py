"""The report of ``occopus-plugins check``."""

from __future__ import annotations

import signal

import pytest

from occopus_core.testing import check

HARNESS = """
from occopus_core.testing.notify import NotifyHarness

class Lacking(NotifyHarness):
    pass
"""


@pytest.fixture(autouse=True)
def of_this_process(monkeypatch):
    """The program's own signals and servers are no matter of a test in this process."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(check, "end_all", lambda: None)


def test_a_harness_that_lacks_methods_is_one_line(install, capsys):
    install("one", "notify.lacking", "check_lacking:Lacking", HARNESS, kind="harness")
    assert check.main(["notify", "lacking"]) == check.FAILED
    assert capsys.readouterr() == (
        "",
        "error: notify/lacking cannot be checked: its harness check_lacking:Lacking has no notifier, received\n",
    )
