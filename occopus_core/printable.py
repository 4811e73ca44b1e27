"""Texts of programs and providers, made fit for terminals, logs and messages."""

from __future__ import annotations

import re
from collections.abc import Callable

MOST_CHARACTERS = 1_000_000
"""Of a text, this much of its end is looked at."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
"""Sequences by which programs colour their output, or set the title of a terminal."""


def cleaned(text: str, redact: Callable[[str], str], length: int) -> list[str]:
    """The lines of an output without control characters and secrets, each of `length` characters at the most.

    Of what a carriage return overwrites on a terminal, the last text is kept.
    """
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in redact(end_of(text, MOST_CHARACTERS)).split("\n"))
    plain = (_printable(_ESCAPES.sub("", line).expandtabs()).rstrip() for line in lines)
    return [cut(redact(line), length) for line in plain]


def one_line(text: str, redact: Callable[[str], str], length: int) -> str:
    """The text in one line of `length` characters at the most, without control characters and secrets."""
    lines = (line.strip() for line in cleaned(text[:MOST_CHARACTERS].replace("\r", "\n"), redact, length))
    return cut(redact(" ".join(filter(None, lines))), length)


def end_of(text: str, most: int) -> str:
    """The last lines of a text, of `most` characters together: a line that was cut may begin within a secret."""
    return text if len(text) <= most else text[-most:].partition("\n")[2]


def cut(line: str, length: int) -> str:
    """The beginning of a line, of `length` characters at the most."""
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _printable(line: str) -> str:
    return "".join(each if each.isprintable() else " " for each in line)
