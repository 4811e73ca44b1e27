"""Explains syntax errors of YAML: what is probably meant, and where. Messages contain no value of the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import yaml

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BARE_TEMPLATE = re.compile(r"(^|[:-]) *\{[{%]")
_ENTRY = re.compile(r"(?P<lead> *(?:- +)*)(?:(?P<key>[^:]*[^: ]) *:(?: +|$))?(?P<value>.*)")
_WITHOUT_SPACE = re.compile(r" *(?:- +)*(?:[A-Za-z_][\w-]*:(?!//)|-)(?=[^\s-])")
_ITEM = re.compile(r" *-(?: |$)")
_ALIAS_ALONE = re.compile(r" *(?:- +)*\*\S+ *$")
_TYPOGRAPHIC = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"

Fault = tuple[int, int, str]
"""Line and column, from 0, and what is wrong there."""


def yaml_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    """Where the text is no YAML, and the message. Without an explanation the message is that of the parser."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = _LINE_BREAK.split(text)
    words = ", ".join(part for part in (error.context, error.problem) if part)
    begun = (error.context_mark.line, error.context_mark.column) if error.context_mark else (line, column)
    fault = _Syntax(lines, line, column, begun).fault(words)
    return fault or (line, column, words)


class _Syntax:
    """One syntax error: the lines of the text, its place, and where the value that it is in begins."""

    def __init__(self, lines: list[str], line: int, column: int, begun: tuple[int, int]) -> None:
        self._lines = lines
        self._line, self._column, self._begun = line, column, begun
        self._text = lines[line] if line < len(lines) else ""
        self._before, self._at = self._text[:column], self._text[column : column + 1]

    def fault(self, words: str) -> Fault | None:
        """The explanation, if there is one for these words of the parser."""
        if self._at == "\t":
            return self._here("a tab cannot stand here: indent with spaces")
        if _BARE_TEMPLATE.search(self._text):
            return self._here("quote a value that begins with '{{' or '{%'")
        explanations: dict[str, Callable[[], Fault | None]] = {
            "mapping values are not allowed": self._unexpected_colon,
            "could not find expected ':'": lambda: self._incomplete(self._begun[0]),
            "while parsing a block": self._in_block,
            "block sequence entries are not allowed": lambda: self._here("begin a list on the line below its key"),
            "expected ',' or": self._in_flow,
            "found unexpected end of stream": lambda: (*self._begun, "this quote is not closed, or one above it"),
            "unknown escape": lambda: self._here("write '\\\\' for a '\\' in double quotes, or use single quotes"),
            "cannot start any token": self._first_character,
            "while scanning an alias": self._first_character,
            "while scanning an anchor": self._first_character,
            "mapping keys are not allowed": self._first_character,
            "while scanning a block scalar": lambda: self._here("begin the text of '|' or '>' on the next line"),
        }
        return next((explain() for known, explain in explanations.items() if known in words), None)

    def _here(self, message: str) -> Fault:
        return self._line, self._column, message

    def _first_character(self) -> Fault | None:
        """A value that begins with a character of the syntax, which stands here, just before, or before the rest."""
        candidates = (self._at, self._before[-1:], _entry(self._text)["value"][:1])
        first = next((one for one in candidates if one and one in "*&%@`?!,"), None)
        return self._here(f"quote a value that begins with '{first}'") if first else None

    # Colons

    def _unexpected_colon(self) -> Fault | None:
        entry = _entry(self._text)
        if entry["value"][:1] in _TYPOGRAPHIC and entry["value"]:
            return self._here("typographic quotes do not quote: write ' or \"")
        if entry["key"] is None or entry.end("key") < len(self._before.rstrip()):
            return self._here("a value with ': ' in it must be quoted")
        above = next(self._above(), None)
        if above is None:
            return None
        former = _entry(self._lines[above])
        if former["key"] is None or former["key"].startswith("-"):
            return self._incomplete(above)
        wanted = former.start("key") + 1
        begins = len(entry["lead"])
        return self._line, begins, f"this is indented too deep: a key beside the one above begins at column {wanted}"

    def _incomplete(self, line: int) -> Fault:
        """The line is read as another part of a value, or as a key, because a ': ' or '- ' is missing."""
        unspaced = _WITHOUT_SPACE.match(self._lines[line])
        if unspaced:
            return line, unspaced.end(), f"a space is missing after the '{unspaced[0][-1]}'"
        begins = len(_entry(self._lines[line])["lead"])
        return line, begins, "there is no ': ' in this line: expected 'KEY: VALUE' or '- ITEM'"

    # Indentation

    def _in_block(self) -> Fault | None:
        if self._at and self._at in "]}":
            return self._here(f"there is nothing that this '{self._at}' closes")
        if self._before.rstrip().endswith(("'", '"')):
            return self._here(
                "there is text after the end of a quoted value: a quote is missing above, or one in the value is not "
                "doubled ('it''s') or escaped (\\\")"
            )
        if self._before.strip():
            return None if self._at != "," else self._first_character()
        above = next(self._above(), None)
        if above is not None and _ALIAS_ALONE.match(self._lines[above]):
            return self._here("an alias is a whole value: write '<<: *NAME' to add keys to it")
        return self._same_column() if self._column == self._begun[1] else self._other_column()

    def _same_column(self) -> Fault | None:
        """A list item among keys, or a key among list items."""
        items = (self._lines[line] for line in self._above() if _ITEM.match(self._lines[line]))
        item = next(items, None)
        if _ITEM.match(self._text):
            where = "deeper than its key" if item is None else f"at column {item.index('-') + 1}, as its list"
            return self._here(f"a list item stands among keys: begin it {where}")
        if item is None:
            return None
        keys = len(_entry(item)["lead"]) + 1
        return self._here(
            f"a key stands among list items: write '- ' before it, or begin it at column {keys}, as the item above does"
        )

    def _other_column(self) -> Fault:
        """A line that begins at a column at which no line above begins."""
        is_item = bool(_ITEM.match(self._text))
        columns = {
            column: line for line in reversed([*self._above()]) for column in _columns(self._lines[line], is_item)
        }
        nearest = min(columns, key=lambda column: (abs(column - self._column), -column), default=0)
        return self._here(
            f"the indent differs from the lines around it: begin this line at column {nearest + 1}, "
            f"as line {columns.get(nearest, 0) + 1} does, or at another one of a line above"
        )

    def _above(self) -> Iterator[int]:
        """The lines above that are neither empty nor comments, from the nearest one."""
        for line in range(self._line - 1, -1, -1):
            if self._lines[line].strip() and not self._lines[line].lstrip().startswith("#"):
                yield line

    # Lists and mappings in brackets

    def _in_flow(self) -> Fault:
        line, column = self._begun
        bracket = self._lines[line][column : column + 1]
        if line != self._line:
            return self._here(f"a ',' is missing before this, or the '{bracket}' of line {line + 1} is not closed")
        colon = ", or a value with ': ' in it is not quoted" if self._at == ":" else ""
        return self._here(f"a ',' is missing before this{colon}")


def _entry(line: str) -> re.Match[str]:
    """The parts of a line: spaces and dashes, the key, the value."""
    found = _ENTRY.match(line)
    assert found is not None  # every part may be empty
    return found


def _columns(line: str, is_item: bool) -> list[int]:
    """The columns at which the list items of the line begin, or else its key."""
    lead = _entry(line)["lead"]
    dashes = [at for at, one in enumerate(lead) if one == "-"]
    return dashes if is_item else [len(lead)]
