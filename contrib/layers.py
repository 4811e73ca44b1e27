"""Checks the layers of pyproject.toml with import-linter, including the packages of all plugin folders."""

from __future__ import annotations

import configparser
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "PLUGINS"
"""The placeholder for the packages of all plugins in a contract of pyproject.toml."""


def main() -> int:
    """Check every contract; return the exit code."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    with tempfile.NamedTemporaryFile("w", suffix=".ini", encoding="utf-8") as file:
        with_plugins(options, plugin_packages(ROOT)).write(file)
        file.flush()
        return lint_imports(config_filename=file.name, no_cache=True, no_logo=True)


def plugin_packages(root: Path) -> list[str]:
    """The import package of every plugin folder."""
    return sorted(file.parent.name for file in root.glob("plugins/*/*/occopus_*/__init__.py"))


def with_plugins(options: Mapping[str, Any], packages: list[str]) -> configparser.ConfigParser:
    """The options of import-linter with these packages, in its other format."""
    made = configparser.ConfigParser(interpolation=None)
    made["importlinter"] = {"root_packages": _lines([*options["root_packages"], *packages])}
    for number, contract in enumerate(options["contracts"]):
        made[f"importlinter:contract:{number}"] = {
            key: _lines([name for one in value for name in (packages if one == PLACEHOLDER else [one])])
            if isinstance(value, list)
            else value
            for key, value in contract.items()
        }
    return made


def _lines(values: list[str]) -> str:
    return "\n".join(["", *values])


if __name__ == "__main__":
    sys.exit(main())
