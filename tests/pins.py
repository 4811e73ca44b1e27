"""The pins of the project, for installations that put wheels of the project's own beside them, which have no hashes."""

from __future__ import annotations

import re
from pathlib import Path

FILES = sorted((Path(__file__).parents[1] / "contrib").glob("constraints*.txt"))


def pins(path: Path) -> list[str]:
    """The requirements of a file of pins, without their hashes."""
    found = re.findall(r"^[A-Za-z0-9].*==.*$", path.read_text(), re.MULTILINE)
    return [line.removesuffix("\\").strip() for line in found]


def without_hashes(folder: Path) -> Path:
    """A file in `folder` for ``pip install --constraint``, which with hashes would refuse everything that has none."""
    written = folder / "pins.txt"
    written.write_text("".join(f"{pin}\n" for path in FILES for pin in pins(path)))
    return written
