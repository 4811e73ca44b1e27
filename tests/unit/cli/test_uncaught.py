"""What a plugin raises where no caller gets it, and what it warns of, is one line without a secret."""

import threading
import warnings

import pytest

from occopus_core.cli.output import _redactors, redact_with
from occopus_core.cli.session import guarded
from occopus_core.redaction import Redactor

SECRET = "hush-hush-hush"


@pytest.fixture(autouse=True)
def redactor():
    redact_with(Redactor([SECRET]))
    yield
    _redactors.pop()


@pytest.fixture
def said(capfd):
    """The lines on stderr of a command that does this."""

    def run(do):
        assert guarded(lambda: do() or 0) == 0
        return capfd.readouterr().err.splitlines()

    return run


def fail():
    raise RuntimeError(f"login with {SECRET} refused")


def in_thread(do):
    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


def test_an_exception_in_a_thread_is_its_type_and_place(said):
    (line,) = said(lambda: in_thread(fail))
    place = f"test_uncaught.py, line {fail.__code__.co_firstlineno + 1})"
    assert line.startswith("warning: a thread raised RuntimeError (")
    assert line.endswith(place)


def test_a_thread_may_exit(said):
    def leave():
        raise SystemExit(SECRET)

    assert said(lambda: in_thread(leave)) == []


def test_an_exception_in_a_finalizer_is_its_type_and_place(said):
    class Failing:
        def __del__(self):
            fail()

    (line,) = said(lambda: Failing() and None)
    assert line.startswith("warning: a finalizer or callback raised RuntimeError (")
    assert SECRET not in line


def test_a_warning_is_one_line_without_secrets(said):
    def warn():
        warnings.simplefilter("always")
        warnings.warn(f"the login {SECRET}\nis old", UserWarning, stacklevel=1)

    (line,) = said(warn)
    assert line.startswith("warning: the login *** is old (UserWarning, ")
    assert f"test_uncaught.py, line {warn.__code__.co_firstlineno + 2})" in line


def test_python_does_as_before_after_a_command(said):
    before = threading.excepthook, warnings.showwarning
    said(lambda: None)
    assert (threading.excepthook, warnings.showwarning) == before
