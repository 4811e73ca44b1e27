"""What the programs of a node have printed."""

from __future__ import annotations

import os
from pathlib import Path

from occopus_core.api import last_lines
from occopus_resource_local.folders import NodeFolder

STAGES = ("bootcmd", "write_files", "runcmd", "command")
"""In the order in which they run."""
_MOST_BYTES = 256 * 1024
"""Of a log, this much of its end is read."""


def output_of(folder: NodeFolder, lines: int) -> str | None:
    """The last lines of the output of a node; None where there is no such node. Raises `OSError`."""
    if not folder.exists():
        return None
    printed = "".join(_ended(_tail(folder.log / f"{stage}.log")) for stage in STAGES)
    return last_lines(printed, lines)


def _ended(text: str) -> str:
    """The text, whose last line is ended so that the next one does not go on with it."""
    return text if not text or text.endswith("\n") else f"{text}\n"


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MOST_BYTES))
            text = file.read(_MOST_BYTES).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return text.partition("\n")[2] or text if size > _MOST_BYTES else text
