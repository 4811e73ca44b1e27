"""Writes files derived from the plugin folders: ``plugins/README.md`` and ``occopus_core/published.json``.

The core uses the second one to suggest what to install if a plugin is missing: the folder of each type, by kind.
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_GROUP = "occopus."
_NO_KINDS = ("harness",)
_HEAD = """# The plugins of this repository

Each folder is a distribution of its own. `pip install ./plugins/KIND/NAME` in a checkout installs it,
`occopus-plugins list` says what is installed. `make schemas` writes this page.

| folder | types | what it is |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Published:
    """One distribution: its folder, its description, and its types by kind."""

    folder: str
    description: str
    types: dict[str, list[str]]


def published(root: Path) -> Iterator[Published]:
    """Every distribution with plugins below the folder, in order of their paths."""
    for file in sorted(root.glob("plugins/*/*/setup.cfg")):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(file, "utf-8")
        groups = parser["options.entry_points"].items() if "options.entry_points" in parser else ()
        types = {
            group.removeprefix(_GROUP): [line.partition("=")[0].strip() for line in points.split("\n") if line.strip()]
            for group, points in groups
            if group.startswith(_GROUP) and group.removeprefix(_GROUP) not in _NO_KINDS
        }
        description = parser["metadata"]["description"].partition(": ")[2] or parser["metadata"]["description"]
        yield Published(file.parent.relative_to(root).as_posix(), description, types)


def documents(root: Path) -> dict[str, str]:
    """The text of each file, by its path."""
    page, folders = _HEAD, dict[str, dict[str, str]]()
    for one in published(root):
        types = ", ".join(f"`{name}`" for names in one.types.values() for name in names)
        page += f"| [{one.folder.removeprefix('plugins/')}]({one.folder.removeprefix('plugins/')}) | {types} "
        page += f"| {one.description} |\n"
        for kind, names in one.types.items():
            folders.setdefault(kind, {}).update(dict.fromkeys(names, one.folder))
    advice = json.dumps(folders, indent=2, sort_keys=True) + "\n"
    return {"plugins/README.md": page, "occopus_core/published.json": advice}


def main() -> None:
    """Write the files."""
    for name, text in documents(ROOT).items():
        (ROOT / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
