"""A terminal of a given width, in tmux, with a shell that runs commands as a user types them."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

LONGEST = 600.0
"""Seconds after which a command counts as stuck."""
_PROMPT = re.compile(r"\[(\d+)\]\$")


class Terminal:
    """Use it in a ``with`` block. The output of each command is written to the folder `shots`, if given."""

    def __init__(self, folder: Path, environ: dict[str, str], columns: int, shots: str | None) -> None:
        self._name = f"occopus-{uuid.uuid4().hex[:8]}"
        self._sockets = tempfile.TemporaryDirectory()  # the path of a socket must be short
        self._environ = {**environ, "TMUX_TMPDIR": self._sockets.name, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self._folder, self._shots, self._taken = folder, shots, 0
        self.columns = columns

    def __enter__(self) -> Terminal:
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", str(self.columns), "-y", "60", "/bin/sh")
        try:
            self._until(str.strip)  # text typed before the first prompt would stand in front of it
            self._type("PS1='[$?]$ '")
            self._until(lambda text: self._code(text) is not None)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")
        self._sockets.cleanup()

    def resize(self, columns: int) -> None:
        """Give the terminal another width."""
        self._tmux("set-option", "-g", "window-size", "manual")
        self._tmux("resize-window", "-x", str(columns), "-y", "60")
        self.columns = columns

    def run(self, command: str, *, name: str, code: int = 0, answers: tuple[tuple[str, str], ...] = ()) -> str:
        """Type a command; type the second text of each pair of `answers` after the first is shown.

        Returns the output.
        """
        self._tmux("send-keys", "-R")
        self._tmux("clear-history")
        self._type(command)
        for question, answer in answers:
            self._until(lambda text, question=question: question in text)
            self._type(answer)
        text = self._until(lambda text: self._code(text) is not None)
        if self._shots:
            self._taken += 1
            path = Path(self._shots, f"walk-{self._taken:02}-{name}-{self.columns}.txt")
            path.write_text(self._capture())
        assert self._code(text) == code, text
        return text

    def fits(self, text: str) -> bool:
        """True if the terminal broke no line except the command itself."""
        return all(len(line) <= self.columns for line in text.splitlines()[1:])

    def _type(self, text: str) -> None:
        self._tmux("send-keys", "-l", "--", text)
        self._tmux("send-keys", "Enter")

    def _code(self, text: str) -> int | None:
        """The exit code in the prompt that the text ends with."""
        lines = text.rstrip().splitlines()
        found = _PROMPT.fullmatch(lines[-1]) if lines else None
        return int(found[1]) if found else None

    def _capture(self, *words: str) -> str:
        shown = self._tmux("capture-pane", "-p", "-S", "-", *words)
        return "".join(f"{line.rstrip()}\n" for line in shown.splitlines()).rstrip() + "\n"

    def _until(self, condition: Callable[[str], object]) -> str:
        deadline = time.monotonic() + LONGEST
        while not condition(text := self._capture("-J")):
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        return text

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", self._name, *words]
        ended = subprocess.run(
            command, cwd=self._folder, env=self._environ, capture_output=True, text=True, timeout=LONGEST, check=True
        )
        return ended.stdout
