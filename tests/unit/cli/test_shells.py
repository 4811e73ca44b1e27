"""The completion scripts in the shells that they are for: a line is typed on a terminal, with the tab key."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import time

import pytest

from occopus_core.cli import build, logs

SECONDS = 60.0
PROMPT = b"READY> "
MAINTAIN = """#!/bin/sh
case "$2" in
    infrastructures) echo shop; echo farm ;;
    places) echo web; echo db; [ "$3 $4" = "-i farm" ] && echo wheat ;;
esac
"""
COMMAND = """#!/bin/sh
for word in "$@"; do echo "$word"; done > ran.new
mv ran.new ran
"""
SET_UP = {
    "zsh": "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; PS1='READ''Y> '\n",
    "tcsh": "source _occopus-logs; source _occopus-build; set prompt='READ''Y> '\n",
}


@pytest.fixture
def typed(tmp_path, capsys):
    """Types a line in a shell; the words that the command gets."""

    def run(shell, line):
        program = shutil.which(shell)
        if program is None:
            pytest.skip(f"{shell} is not installed: apt-get install {shell}")
        for name, text in (("occopus-maintain", MAINTAIN), ("occopus-logs", COMMAND), ("occopus-build", COMMAND)):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        for command in (logs, build):
            with pytest.raises(SystemExit):
                command.main(["--print-completion", shell])
            (tmp_path / f"_occopus-{command.__name__.rpartition('.')[2]}").write_text(capsys.readouterr().out)
        environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TERM": "xterm", "HOME": str(tmp_path)}
        child, terminal = pty.fork()
        if not child:  # it becomes the shell
            os.chdir(tmp_path)
            os.execve(program, [shell, "-f"], environ)
        try:
            os.write(terminal, SET_UP[shell].encode())
            _read(terminal, lambda seen: PROMPT in seen)
            os.write(terminal, f"{line}\n".encode())
            _read(terminal, lambda _seen: (tmp_path / "ran").exists())
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(terminal)
        return (tmp_path / "ran").read_text().split()

    return run


def _read(terminal, is_done):
    """Read what the shell writes until it is done."""
    seen, end = b"", time.monotonic() + SECONDS
    while not is_done(seen):
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 0.05)[0]:
            seen += os.read(terminal, 4096)


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("occopus-logs -i sh\t", ["-i", "shop"]),
        ("occopus-logs -i shop d\t", ["-i", "shop", "db"]),
        ("occopus-logs --lin\t 5", ["--lines", "5"]),
        ("occopus-build -i shop _occopus-l\t", ["-i", "shop", "_occopus-logs"]),
    ],
)
def test_words_are_completed(typed, shell, line, words):
    assert typed(shell, line) == words


def test_zsh_completes_nodes_of_the_infrastructure_that_is_named(typed):
    assert typed("zsh", "occopus-logs -i farm wh\t") == ["-i", "farm", "wheat"]
