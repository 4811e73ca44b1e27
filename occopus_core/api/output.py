"""The output of instances."""

from __future__ import annotations


def last_lines(text: str, lines: int) -> str:
    r"""The last lines of an output, for `ResourceHandler.logs`; a line ends with a line feed, or CR and LF.

    >>> last_lines("one\ntwo\r\nthree\r\n", 2)
    'two\nthree'
    """
    if lines <= 0:
        return ""
    return "\n".join(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")[-lines:])
