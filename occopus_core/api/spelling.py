"""Similar words, for messages about words that are not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ALIKE = 0.8
"""The share of two words that is the same."""
_SHORTEST_BEGINNING = 3


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``: did you mean 'x'?`` if there is a similar known word, else an empty text."""
    similar = difflib.get_close_matches(word, list(known), n=3)
    close = next((one for one in similar if _is_close(word, one)), None)
    return f": did you mean '{close}'?" if close else ""


def _is_close(word: str, other: str) -> bool:
    """True for slips of the keyboard, and where the beginnings are the same; not for other words."""
    same = _same_beginning(word, other)
    if same >= max(_SHORTEST_BEGINNING, min(len(word), len(other)) - 1):
        return True
    rest, others = word[same:], other[same:]
    end = _same_beginning(rest[::-1], others[::-1])
    first, second = rest[: len(rest) - end], others[: len(others) - end]
    if max(len(first), len(second)) <= 1 or (len(first) == len("ab") and first == second[::-1]):
        return True  # one character is missing, added or another one, or two are in the wrong order
    return difflib.SequenceMatcher(None, other, word).ratio() >= _ALIKE


def _same_beginning(one: str, other: str) -> int:
    """The number of characters at the beginning that are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (first, second) in pairs if first != second), min(len(one), len(other)))
