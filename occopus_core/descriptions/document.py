"""The contents of a file, with positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from occopus_core.descriptions.problems import Path, Position, Problem, format_path

Mark = tuple[str, int, int]
"""A `Position` as a tuple: file, line, column."""
Marks = dict[int, tuple[Any, Any]]
"""By identity of a container: the container itself, and the marks of its contents.

A list has one mark for each item, a mapping a pair (key, value) of marks for each key. An alias is the same container,
so nothing is recorded twice, however often it is used.
"""


@dataclass(frozen=True)
class Document:
    """A file that was read. Aliases of one mapping are one object; `data` must not be changed."""

    name: str
    data: Any = field(repr=False)
    files: tuple[str, ...]
    """Every file that was read, this one first; empty if the document did not come from a file."""
    ignored_tags: tuple[str, ...]
    """Ignored tags, each once; empty unless the document was read tolerantly."""
    top: Mark
    marks: Marks = field(repr=False)
    texts: Mapping[Mark, str] = field(default_factory=dict, repr=False)
    """The file of each imported text, by the position of its import."""

    def locate(self, path: Path = (), *, key: bool = False) -> Position:
        """The position of the value at `path`, or of its key; for a missing path, of the part of it that exists."""
        mark, value = self.top, self.data
        for number, step in enumerate(path, 1):
            try:
                found = self.marks[id(value)][1][step]
                within, value = value, value[step]
            except (LookupError, TypeError):
                break
            if isinstance(within, dict):
                found = found[0 if key and number == len(path) else 1]
            mark = found
        return Position(*mark)

    def problem_within(self, path: Path, message: str, line: int, column: int) -> Problem:
        """A fault at a place (counted from 1) in the text at `path`; its position is in an imported text's own file."""
        if not line:
            return self.problem(path, message)
        at = self.locate(path)
        file = self.texts.get((at.file, at.line, at.column))
        if file is None:
            return self.problem(path, f"line {line}, column {column} of the text: {message}")
        return Problem(Position(file, line, column), format_path(path), message)

    def place(self, path: Path, line: int | None = None, *, key: bool = False) -> Position:
        """The position of the value (or the key) at `path`; for an imported text, of a line (from 1) of it."""
        return self.problem_within(path, "", line, 1).position if line else self.locate(path, key=key)

    def problem(self, path: Path, message: str, *, key: bool = False) -> Problem:
        """A problem of the value (or the key) at `path`."""
        return Problem(self.locate(path, key=key), format_path(path), message)
