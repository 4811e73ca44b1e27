"""The process of a conformance suite, whatever it does."""

import itertools
from types import SimpleNamespace

import pytest

from occopus_core.cli import suite_process

BEGIN = """
import os, signal, sys, time

def step(text):
    os.write(int(sys.argv[-1]), f"{text}\\n".encode())

"""


@pytest.fixture
def run(monkeypatch):
    said = []
    monkeypatch.setattr(suite_process, "say", said.append)

    def run(program):
        monkeypatch.setattr(suite_process, "_PROGRAM", ("-c", BEGIN + program))
        return suite_process.run_suite("health", "pulse", ()), said

    return run


def test_the_code_of_a_suite_that_ends_is_passed_on(run):
    assert run("step('in the clause a'); step(''); sys.exit(4)") == (4, [])


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("os._exit(9)", "ended with code 9 before the suite began"),
        ("step('in the clause a'); step('in the clause b'); os._exit(0)", "ended with code 0 in the clause b"),
        ("step('in the clause a'); os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL in the clause a"),
    ],
)
def test_a_suite_that_is_cut_short_names_the_clause(run, program, how):
    message = f"error: health/pulse cannot be checked: the process of the suite {how}"
    assert run(program) == (1, [message])


def test_a_clause_that_hangs_is_named_more_and_more_seldom(run, monkeypatch, tmp_path):
    said, enough = [], tmp_path / "enough"
    expected = [f"health/pulse: busy for {seconds} s in the clause a" for seconds in (60, 120)]

    def say(text):
        said.append(text)
        if said[-2:] == expected:
            enough.touch()

    monkeypatch.setattr(suite_process, "say", say)
    monkeypatch.setattr(suite_process, "_LOOK", 0.01)
    monkeypatch.setattr(suite_process, "time", SimpleNamespace(monotonic=itertools.count(0, 20).__next__))
    waiting = f"while not os.path.exists({str(enough)!r}): time.sleep(0.01)"
    code, _ = run(f"step('in the clause a')\n{waiting}\nstep('')")
    assert (code, enough.exists()) == (0, True)
