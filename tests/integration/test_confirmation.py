"""Questions on a terminal, and commands in a pipe without questions."""

from __future__ import annotations

import os
import pty

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration


@pytest.fixture
def on_terminal(ready):
    """Runs a command on a terminal with the answer already typed; returns exit code and output."""

    def run(answer, *words):
        controller, terminal = pty.openpty()
        os.write(controller, answer)
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        process = ready.start(*words, **streams, environ={"TERM": "xterm", "NO_COLOR": "1"}, before=["setsid", "-c"])
        os.close(terminal)
        shown = b""
        while True:
            try:
                shown += os.read(controller, 4096)
            except OSError:  # the last process on the terminal has ended
                break
        os.close(controller)
        return process.wait(LONGEST), shown.decode(errors="replace")

    return run


def test_destroying_and_updating_on_a_terminal(ready, cloud, describe, on_terminal):
    first = ready.ready("build", "trial.yaml", "--parallelize").stdout.strip()
    ready.write("less.yaml", describe("db"))
    before = cloud.inventory()
    code, shown = on_terminal(b"n\n", "build", "less.yaml", "-i", "trial")
    assert (code, "? [y/N]" in shown, "not confirmed" in shown) == (1, True, True), shown
    assert cloud.inventory() == before
    code, shown = on_terminal(b"y\n", "build", "less.yaml", "-i", "trial")
    assert (code, len(cloud.machines(first))) == (0, 1), shown
    code, shown = on_terminal(b"", "build", "less.yaml", "-i", "trial")  # nothing is replaced, so there is no question
    assert (code, "[y/N]" in shown) == (0, False), shown
    code, shown = on_terminal(b"n\n", "build", "less.yaml", "-i", "trial", "--ttl", "2030-01-01")
    question = f"Update '{first}': destroy all of it at 2030-01-01T00:00:00+00:00? [y/N]"
    assert (code, question in shown, "(was: never)" in shown) == (1, True, True), shown
    code, shown = on_terminal(b"", "build", "less.yaml", "-i", "trial", "--ttl", "2030-01-01", "-y")
    assert (code, "[y/N]" in shown, "life time changed" in shown) == (0, False, True), shown
    code, shown = on_terminal(b"", "build", "less.yaml", "-i", "trial", "--ttl", "2031-01-01")  # that is later
    assert (code, "[y/N]" in shown) == (0, False), shown
    code, shown = on_terminal(b"\x04", "destroy", "-i", "trial")
    assert (code, len(cloud.machines(first))) == (1, 1), shown
    code, shown = on_terminal(b"yes\n", "destroy", "-i", first[:8])
    assert (code, cloud.machines(first)) == (0, []), shown


def test_in_a_pipe_there_is_no_question_and_a_name_is_no_id(ready, cloud, describe):
    first = ready.ready("build", "trial.yaml", "--parallelize").stdout.strip()
    ready.write("less.yaml", describe("db"))
    ended = ready.run("destroy", "-i", "trial")
    assert (ended.code, f"only its id counts without a terminal: -i {first}, or -y" in ended.stderr) == (3, True)
    ended = ready.run("build", "less.yaml", "-i", "trial")
    assert (ended.code, f"-i {first}, or -y; for a new infrastructure: another id" in ended.stderr) == (3, True)
    assert cloud.machines("trial") == []
    for name in ("trial", first[:8]):  # a plan changes nothing
        planned = ready.ready("build", "less.yaml", "--plan", "-i", name)
        assert "2 to destroy" in planned.stdout
        assert f"notice: '{name}' names the infrastructure '{first}'" in planned.stderr
    assert ready.ready("build", "less.yaml", "--plan", "-i", first).stderr == ""
    assert ready.ready("build", "less.yaml", "-i", first).stdout == f"{first}\n"
    assert len(cloud.machines(first)) == 1
    assert ready.ready("destroy", "-y", "-i", "trial").complaint[-1] == f"Destroyed infrastructure: '{first}'"
    assert cloud.machines(first) == []
