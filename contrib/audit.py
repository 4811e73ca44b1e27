"""Check that no requirement and no pin of the project allows a version with a known vulnerability.

floors.txt names the lowest acceptable versions. Each pin has hashes. Prints a line for each fault, and exits with 1 if
there are any.
"""

from __future__ import annotations

import configparser
import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parent.parent
SHORTEST_REASON = 10
"""The fewest characters."""
_OWN = re.compile(r"occopus-")
_SETUP = tuple(
    folder + file for folder in ("", "plugins/*/*/", "contrib/occo/") for file in ("setup.cfg", "pyproject.toml")
)


def floors(path: Path) -> dict[str, Version]:
    """The lowest versions by canonical name. Raises `ValueError` if a line lacks its version, date or reason."""
    found: dict[str, Version] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, version, at, reason = line.split(maxsplit=3)
            date.fromisoformat(at)
            found[canonicalize_name(name)] = Version(version)
        except (ValueError, InvalidVersion) as error:
            raise ValueError(f"{path.name}:{number}: expected NAME VERSION DATE REASON: {error}") from error
        if len(reason) < SHORTEST_REASON:
            raise ValueError(f"{path.name}:{number}: a reason is missing")
    return found


def requirements(root: Path) -> Iterator[tuple[str, Requirement]]:
    """The requirements of each package of the project, without packages of the project itself."""
    for path in sorted(found for pattern in _SETUP for found in root.glob(pattern)):
        lines = tomllib.loads(path.read_text())["build-system"]["requires"] if path.suffix == ".toml" else _lines(path)
        for line in lines:
            text = line.partition("#")[0].strip()
            if text and not _OWN.match(text):
                yield str(path.relative_to(root)), Requirement(text)


def _lines(path: Path) -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(path)
    values = [parser.get("options", "install_requires", fallback="")]
    if parser.has_section("options.extras_require"):
        values += [value for _, value in parser.items("options.extras_require")]
    return "\n".join(values).splitlines()


def faults(root: Path = ROOT) -> Iterator[str]:
    """One line for each fault. Raises `ValueError` if the list cannot be read."""
    known = floors(root / "contrib" / "floors.txt")
    for where, requirement in requirements(root):
        floor = known.get(canonicalize_name(requirement.name))
        least = [Version(one.version) for one in requirement.specifier if one.operator in {">=", "==", "~="}]
        if floor is None:
            yield f"{where}: {requirement.name}: contrib/floors.txt has no version for it: add one"
        elif not least:
            yield f"{where}: {requirement.name}: no lowest version: write >= {floor}"
        elif max(least) < floor:
            yield f"{where}: {requirement}: expected >= {floor}, see contrib/floors.txt"
    for path in sorted((root / "contrib").glob("constraints*.txt")):
        yield from _faults_of_pins(path, known)


def _faults_of_pins(path: Path, known: dict[str, Version]) -> Iterator[str]:
    for line in path.read_text().replace("\\\n", " ").splitlines():
        text, *hashes = line.partition("#")[0].split(" --hash=")
        if not text.strip():
            continue
        pin = Requirement(text.strip())
        floor = known.get(canonicalize_name(pin.name))
        if floor is not None and not any(Version(one.version) >= floor for one in pin.specifier):
            yield f"contrib/{path.name}: {pin}: expected >= {floor}, see contrib/floors.txt"
        if not hashes:
            yield f"contrib/{path.name}: {pin}: it has no hash: make pins"


def main() -> int:
    """Print the faults."""
    found = list(faults(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT))
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
