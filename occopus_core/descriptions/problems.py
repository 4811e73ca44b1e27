"""Problems in files of users, with positions: the common form of every fault in a description."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""The path from the top of a document to a value: keys and indices."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a file; lines and columns count from 1. Line 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `str()` is one line: position, path if there is one, and message."""

    position: Position
    path: str
    message: str

    def __str__(self) -> str:
        line = ": ".join(part for part in (str(self.position), self.path, self.message) if part)
        return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)


class DescriptionError(Exception):
    """A file cannot be used. `problems` has every fault, `str()` one line for each. Contains no secret."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class PlacedMessage(str):
    """A message about a description that begins with its position; the parts are also available separately.

    `position` and `path` are empty if unknown. `message` is the text without them.
    """

    __slots__ = ("message", "path", "position")

    position: str
    path: str
    message: str

    @classmethod
    def of(cls, position: str, path: str, message: str, *, with_path: bool = False) -> PlacedMessage:
        """The message. `with_path`: its text names the path after the position."""
        made = cls(": ".join(part for part in (position, path if with_path else "", message) if part))
        made.position, made.path, made.message = position, path, message
        return made


def in_order(problems: Iterable[Problem], first: str) -> list[Problem]:
    """The problems in reading order: those of the file `first`, then those of its imports."""
    return sorted(problems, key=lambda problem: (problem.position.file != first, problem.position))


def format_path(path: Iterable[str | int]) -> str:
    """The path in the form for users, such as ``nodes[1].scaling.min``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


_INDEX = re.compile(r"\[(\d+)\]")


def path_in(value: Any, text: str) -> Path:
    """The path within a value for a text in the form of `format_path`, as far as it exists."""
    path: list[str | int] = []
    while text := text.removeprefix("."):
        index = _INDEX.match(text)
        if isinstance(value, list | tuple) and index is not None and int(index[1]) < len(value):
            path.append(int(index[1]))
            text = text[index.end() :]
        elif isinstance(value, Mapping):
            # A key may contain dots: the longest matching key counts.
            keys = [key for key in value if text == key or text.startswith((f"{key}.", f"{key}["))]
            if not keys:
                break
            key = max(keys, key=len)
            path.append(key)
            text = text[len(key) :]
        else:
            break
        value = value[path[-1]]
    return tuple(path)
