"""Tables as wide as the terminal. Words are never cut."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from occopus_core.store.records import is_made

WIDEST = 200
NARROWEST = 60
"""The narrowest terminal, in characters, for which tables are made."""
SHORT = 8
"""The number of characters of a shortened id; more if it would not be unique."""
_GAP = 2


def table_text(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDEST) -> str:
    """A table with these heads within `width` characters, wrapped between words, without trailing blanks.

    If the longest words of the columns do not fit in one line, each row is a block of lines: its first cell, followed
    by the others with their heads. A single word wider than the terminal is not broken.
    """
    width = _bounded(width)
    widths = _widths([heads, *rows], width)
    text = _blocks(heads, rows, width) if widths is None else _columns(heads, rows, widths)
    return "\n".join(line.rstrip() for line in text.splitlines())


def is_roomy(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """True if nothing has to be wrapped, or the output is no terminal: then ids need not be shortened."""
    return width >= WIDEST or sum(map(_longest_line, zip(heads, *rows, strict=True))) + _gaps(heads) <= width


def shortened(ids: Iterable[str]) -> dict[str, str]:
    """By id: its shortest unique beginning of at least `SHORT` characters. Only ids that Occopus has made have one."""
    found = {}
    ordered = ["", *sorted(ids), ""]
    for before, one, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
        if is_made(one):
            lengths = (
                length for length in range(SHORT, len(one)) if one[:length] not in (before[:length], after[:length])
            )
            found[one] = one[: next(lengths, len(one))]
    return found


def wrapped(lines: Iterable[str], width: int = WIDEST) -> list[str]:
    """Lines of text within `width` characters, as in a table."""
    width = _bounded(width)
    return [part for line in lines for part in _wrapped(line, "", "", width)]


def _bounded(width: int) -> int:
    return max(NARROWEST, min(width, WIDEST))


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The width of each column: at least its longest word, at most its longest line. None if the columns do not fit."""
    columns = list(zip(*rows, strict=True))
    widths = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    spare = width - _gaps(columns) - sum(widths)
    if spare < 0:
        return None
    wanted = list(map(_longest_line, columns))
    # Narrow columns get their full width; the others share the rest.
    for done, at in enumerate(sorted(range(len(columns)), key=lambda at: wanted[at] - widths[at])):
        more = min(wanted[at] - widths[at], spare // (len(columns) - done))
        widths[at] += more
        spare -= more
    return widths


def _longest_line(column: Iterable[str]) -> int:
    return max((len(line) for cell in column for line in cell.splitlines()), default=0)


def _gaps(columns: Sequence[object]) -> int:
    return _GAP * (len(columns) - 1)


def _columns(heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for head, width in zip(heads, widths, strict=True):
        table.add_column(head, width=width)
    for row in rows:
        table.add_row(*map(Text, row))  # text from outside is never interpreted as markup
    console = Console(width=sum(widths) + _GAP * len(widths), force_terminal=False)  # without escape sequences
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _blocks(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    label = max(map(len, heads[1:]), default=0)
    lines = []
    for title, *cells in rows:
        lines += _wrapped(title, "", "", width)
        for head, cell in zip(heads[1:], cells, strict=True):
            lines += _wrapped(cell, f"  {head:{label}}  ", " " * (label + 4), width)
    return "\n".join(lines)


def _wrapped(text: str, first: str, further: str, width: int) -> list[str]:
    """The lines of a cell, each wrapped by itself with its own indentation; nothing for an empty one."""
    lines: list[str] = []
    for line in text.splitlines():
        own = line[: len(line) - len(line.lstrip())]
        made = textwrap.TextWrapper(
            width,
            initial_indent=further if lines else first,
            subsequent_indent=further + own,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += made.wrap(line)
    return lines
