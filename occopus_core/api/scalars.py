"""The meaning of a plain scalar by the core schema of YAML 1.2: null, a boolean, a number or text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

MAX_DIGITS = 400
"""The number of characters above which a number is not computed."""
SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""The integers that every JSON reader supports."""

STANDARD = "tag:yaml.org,2002:"
_TEXT = f"{STANDARD}str"
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "null": "nothing"}
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAY_BE_NO_TEXT = frozenset("-+.~0123456789nNtTfF")
_FORMER_WORDS = {
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON", "y", "Y"), True),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF", "n", "N"), False),
}
_ELSEWHERE = re.compile(
    r"[-+]?[0-9.][0-9_a-fA-FxXoO.]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|=|<<"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?",
    re.ASCII,
)


def resolve(text: str) -> Any:
    """The value of a plain scalar: None, a boolean, an integer, a float, or the text itself."""
    if not text or text[0] in _MAY_BE_NO_TEXT:
        if text in _NULL:
            return None
        if text in _TRUTHS:
            return _TRUTHS[text]
        if len(text) <= MAX_DIGITS and text[0] not in "nNtTfF":
            return _number(text)
    return text


def _number(text: str) -> Any:
    if _INT.fullmatch(text):
        return _whole(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _whole(text: str) -> int:
    return int(text[2:], {"o": 8, "x": 16}[text[1]]) if text[1:2] in {"o", "x"} else int(text)


def kept(text: str) -> Any:
    """The value of a plain scalar in a description: a number that JSON cannot represent stays text."""
    value = resolve(text)
    return text if _unkept(value) else value


def _unkept(value: object) -> str:
    """Why a number cannot be represented; empty if it can."""
    if isinstance(value, float) and not math.isfinite(value):
        return "infinity and not-a-number cannot be used"
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        return "this number has more than 64 bits"
    return ""


def truth(text: str) -> bool | None:
    """The boolean that a word stands for, including YAML 1.1 (``yes``, ``off``); None for any other text."""
    return _TRUTHS.get(text, _FORMER_WORDS.get(text))


def is_former_truth(text: str) -> bool:
    """True for a word that is a boolean in YAML 1.1 and text in 1.2."""
    return text in _FORMER_WORDS


def is_ambiguous(text: str) -> bool:
    """True for a text that a reader of YAML 1.1 or 1.2 does not read as text unless it is quoted."""
    if text in _NULL or text in _TRUTHS or text in _FORMER_WORDS:
        return True
    return (
        len(text) <= MAX_DIGITS
        and text[0] in "-+.0123456789=<"
        and bool(_ELSEWHERE.fullmatch(text) or _INFINITE.fullmatch(text))
    )


def canonical(value: object) -> str:
    """The text of a value that has no written form."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text


# Tags


def construct(tag: str, text: str) -> Any:
    """The value of a scalar with a standard tag. Raises `ValueError`, which never quotes a text."""
    read = _READERS.get(tag)
    if read is None:
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError("this number is too long: quote it if text is meant")
    try:
        value = read(text)
    except (ValueError, LookupError):
        kind = _WORDS[tag.removeprefix(STANDARD)]
        raise ValueError(f"this cannot be read as {kind}: quote it if text is meant") from None
    if fault := _unkept(value):
        raise ValueError(f"{fault}: quote it if text is meant")
    return value


def _tagged_null(text: str) -> None:
    if text not in _NULL:
        raise ValueError


def _tagged_int(text: str) -> int:
    if not _INT.fullmatch(text):
        raise ValueError
    return _whole(text)


def _tagged_float(text: str) -> float:
    value = _number(text)
    if isinstance(value, str):
        raise ValueError  # noqa: TRY004  # the text is at fault
    return float(value)


_READERS: dict[str, Callable[[str], Any]] = {
    f"{STANDARD}null": _tagged_null,
    f"{STANDARD}bool": _TRUTHS.__getitem__,
    f"{STANDARD}int": _tagged_int,
    f"{STANDARD}float": _tagged_float,
}
TAGS = frozenset({_TEXT, f"{STANDARD}timestamp", f"{STANDARD}binary", *_READERS})
"""The standard tags of scalars; timestamps and binary values stay text."""
