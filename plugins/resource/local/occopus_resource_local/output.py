"""The output of a node's programs."""

from __future__ import annotations

import os
from pathlib import Path

from occopus_core.api import last_lines
from occopus_resource_local.folders import NodeFolder

STAGES = ("bootcmd", "write_files", "runcmd", "command")
"""In order of execution."""
_MOST_BYTES = 256 * 1024
"""The number of bytes read from the end of a log."""


def output_of(folder: NodeFolder, lines: int) -> str | None:
    """The last lines of a node's output; None without such a node. Raises `OSError`."""
    if not folder.exists():
        return None
    printed = "".join(_ended(_tail(folder.log / f"{stage}.log")) for stage in STAGES)
    return last_lines(printed, lines)


def _ended(text: str) -> str:
    """The text with a final line end, so that more can be appended."""
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
