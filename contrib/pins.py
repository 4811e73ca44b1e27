"""Write the pins of third-party distributions, with the hashes of all their files, as uv resolves them.

Each pin is in one of three files: ``constraints.txt`` has those for using the project, ``constraints-dev.txt`` the
additional ones for testing it, ``constraints-tools.txt`` the programs of single targets of the Makefile. Versions stay
unchanged if the requirements allow it; the arguments name distributions to raise, ``all`` raises every one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOWEST_PYTHON = "3.11"
FOLDERS = [str(path.parent.relative_to(ROOT)) for path in sorted(ROOT.glob("plugins/*/*/setup.cfg"))]
USE = ["-e .", *(f"-e ./{folder}" for folder in FOLDERS), "setuptools >= 78.1.1"]
DEVELOPMENT = [
    "-e .[postgresql,rest,testing,template]",
    "-e ./contrib/occo",
    *(ROOT / "contrib" / "requirements-dev.txt").read_text().splitlines(),
]
TOOLS = ["atheris; python_version < '3.14'", "uv"]
SETS = {"constraints.txt": USE, "constraints-dev.txt": [*USE, *DEVELOPMENT], "constraints-tools.txt": TOOLS}


def blocks(text: str) -> list[str]:
    """The pins of a file, each with its hashes: the requirement, and its continuation lines."""
    return re.findall(r"^[A-Za-z0-9][^\n]*==[^\n]*(?:\n[ \t]+[^\n]*)*", text, re.MULTILINE)


def resolve(requirements: Sequence[str], constraints: str, pinned: str, raised: Sequence[str]) -> list[str]:
    """The output of uv. Raises `CalledProcessError` if there is no solution; uv has printed why."""
    options = ["--universal", "--python-version", LOWEST_PYTHON, "--python", sys.executable, "--no-build-isolation"]
    options += ["--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    options += ["--upgrade"] if "all" in raised else [f"--upgrade-package={name}" for name in raised]
    with tempfile.TemporaryDirectory() as folder:
        output, limits = Path(folder, "output.txt"), Path(folder, "constraints.txt")
        output.write_text(pinned)
        limits.write_text(constraints)
        uv = shutil.which("uv", path=Path(sys.executable).parent)
        subprocess.run(
            [str(uv), "pip", "compile", "-", "--output-file", output, "--constraints", limits, *options],
            cwd=ROOT,
            input="\n".join(requirements),
            text=True,
            check=True,
        )
        return blocks(output.read_text())


def main() -> None:
    """Write the three files; none of them if one cannot be resolved."""
    files = [ROOT / "contrib" / name for name in SETS]
    before = "\n".join(path.read_text() for path in files if path.exists())
    found: list[str] = []
    texts = []
    for requirements in SETS.values():
        pins = resolve(requirements, "\n".join(found), before, sys.argv[1:])
        texts.append([pin for pin in pins if pin not in found])
        found += texts[-1]
    for path, pins in zip(files, texts, strict=True):
        path.write_text("# Written by `make pins`.\n" + "".join(f"{pin}\n" for pin in pins))


if __name__ == "__main__":
    main()
