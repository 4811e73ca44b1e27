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
    said = "its harness check_lacking:Lacking has no notifier, received (check_lacking.py, line 4)"
    error = f"error: notify/lacking cannot be checked: {said}; report it to its author\n"
    assert capsys.readouterr() == ("", error)


WHOLE = """
from occopus_core.testing.context import ContextHarness

class H(ContextHarness):
    def __init__(self):
        super().__init__(object, {})
"""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("raise RuntimeError('x')", "cannot be loaded: RuntimeError: x (MODULE.py, line 1)"),
        (r"raise RuntimeError('\x1b[31mx\0y')", "cannot be loaded: RuntimeError: x y (MODULE.py, line 1)"),
        ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3 (MODULE.py, line 1)"),
        ("class H(", "cannot be loaded: '(' was never closed (MODULE.py, line 1)"),
        ("G = 1", "cannot be loaded: AttributeError: module 'MODULE' has no attribute 'H'"),
        ("H = 5", "is 5, expected a ContextHarness, or a function that makes one"),
        ("H = None", "is None, expected a ContextHarness, or a function that makes one"),
        ("class H: ...", "makes H, expected ContextHarness (MODULE.py, line 1)"),
        ("\ndef H(): return None", "makes NoneType, expected ContextHarness (MODULE.py, line 2)"),
        ("def H(): raise KeyError('no')", "makes no harness: KeyError: 'no' (MODULE.py, line 1)"),
        (
            f"{WHOLE}    def close(self): 1 / 0",
            "cannot be used: ZeroDivisionError: division by zero (MODULE.py, line 7)",
        ),
        (
            f"{WHOLE}    not_applicable = {{'nosuch': 'x'}}",
            "cannot be used: ValueError: not_applicable names clauses that do not exist: nosuch (MODULE.py, line 4)",
        ),
    ],
)
def test_what_is_no_harness_is_one_line(install, capsys, request, text, fault):
    module = f"check_wrong_{abs(hash(request.node.name))}"
    install("one", "context.wrong", f"{module}:H", text, kind="harness")
    assert check.main(["context", "wrong"]) == check.FAILED
    told = f"error: context/wrong cannot be checked: its harness {module}:H {fault}; report it to its author\n"
    assert capsys.readouterr() == ("", told.replace("MODULE", module))


def test_a_harness_that_cannot_be_used_is_closed(install, tmp_path, capsys):
    closed = tmp_path / "closed"
    close = f"    def close(self): pathlib.Path({str(closed)!r}).touch()"
    text = f"import pathlib\n{WHOLE}    not_applicable = {{'nosuch': 'x'}}\n{close}"
    install("one", "context.wrong", "check_wrong_closed:H", text, kind="harness")
    assert check.main(["context", "wrong"]) == check.FAILED
    assert "nosuch" in capsys.readouterr().err
    assert closed.exists()


def test_a_package_that_the_harness_needs_is_named(install, capsys):
    install("one", "context.needy", "check_needy:H", "import nothing_of_this_name", kind="harness")
    assert check.main(["context", "needy"]) == check.UNAVAILABLE
    said = "nothing_of_this_name is not installed: it comes with the extra [testing] of one\n"
    assert capsys.readouterr().err.endswith(said)
