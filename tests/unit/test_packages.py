"""Every plugin folder is a package like the others, and no file at the root has to name it."""

from __future__ import annotations

import configparser
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(file.parent for file in ROOT.glob("plugins/*/*/setup.cfg"))
VERSION = (ROOT / "VERSION").read_text().strip()


def tool(name):
    """A program of contrib/ as a module."""
    spec = importlib.util.spec_from_file_location(f"contrib_{name}", ROOT / "contrib" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def published():
    return tool("published")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_a_plugin_has_the_metadata_of_all_plugins(folder):
    """One version, one licence and the range of the core that its contract allows."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(folder / "setup.cfg")
    assert parser["metadata"]["version"] == "file: VERSION", "write version = file: VERSION in setup.cfg"
    for name in ("VERSION", "LICENSE"):
        wanted = f"make it: ln -s ../../../{name} {folder.relative_to(ROOT)}/{name}"
        assert (folder / name).is_symlink(), wanted
        assert (folder / name).resolve() == ROOT / name, wanted
    assert "LICENSE" in parser["metadata"]["license_files"]
    needs = [Requirement(line) for line in parser["options"]["install_requires"].split("\n") if line]
    (core,) = [need for need in needs if need.name == "occopus-core"]
    assert core.specifier.contains(VERSION), "the core that it is built with is in the range"
    assert not core.specifier.contains(f"{Version(VERSION).major + 1}.0"), "the next contract is not in the range"
    (package,) = folder.glob("occopus_*/__init__.py")
    assert (package.parent / "py.typed").is_file()
    assert "py.typed" in parser["options.package_data"].get(
        "*", parser["options.package_data"].get(package.parent.name)
    )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_a_plugin_ships_a_harness_for_each_of_its_types(folder):
    """``occopus-plugins check`` needs it, and the extra with what it takes."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(folder / "setup.cfg")
    points = parser["options.entry_points"]
    types = {
        f"{kind}.{line.partition('=')[0].strip()}"
        for kind in ("resource", "config", "health", "context", "notify")
        for line in points.get(f"occopus.{kind}", "").split("\n")
        if line
    }
    harnesses = {line.partition("=")[0].strip() for line in points.get("occopus.harness", "").split("\n") if line}
    assert harnesses == types
    if types:
        needs = [Requirement(line) for line in parser["options.extras_require"]["testing"].split("\n") if line]
        assert [need for need in needs if need.name == "occopus-core" and need.extras == {"testing"}]


def test_what_follows_from_the_folders_is_up_to_date(published):
    for name, text in published.documents(ROOT).items():
        assert (ROOT / name).read_text("utf-8") == text, "run: make schemas"


@pytest.fixture
def grown(tmp_path):
    """A repository with one plugin, which has two types."""
    folder = tmp_path / "plugins" / "health" / "pulse"
    (folder / "occopus_health_pulse").mkdir(parents=True)
    (folder / "occopus_health_pulse" / "__init__.py").touch()
    (folder / "setup.cfg").write_text(
        "[metadata]\nname = occopus-health-pulse\ndescription = Occopus health checks: a pulse\n"
        "[options.entry_points]\noccopus.health =\n    pulse = x:X\n    beat = x:Y\n"
        "occopus.harness =\n    health.pulse = x:Z\n"
    )
    return tmp_path


def test_a_new_plugin_is_in_the_index_and_in_the_advice(grown, published):
    texts = published.documents(grown)
    assert texts["plugins/README.md"].splitlines()[-1] == "| [health/pulse](health/pulse) | `pulse`, `beat` | a pulse |"
    assert '"beat": "plugins/health/pulse"' in texts["occopus_core/published.json"]


def test_a_new_plugin_is_held_to_the_layers(grown):
    layers = tool("layers")
    contract = {
        "name": "c",
        "type": "forbidden",
        "source_modules": ["PLUGINS", "core.x"],
        "forbidden_modules": ["core"],
    }
    made = layers.with_plugins({"root_packages": ["core"], "contracts": [contract]}, layers.plugin_packages(grown))
    assert made["importlinter"]["root_packages"].split() == ["core", "occopus_health_pulse"]
    assert made["importlinter:contract:0"]["source_modules"].split() == ["occopus_health_pulse", "core.x"]


def test_the_layers_cover_every_plugin_there_is():
    assert len(tool("layers").plugin_packages(ROOT)) == len(FOLDERS)


def test_a_new_plugin_is_type_checked_and_installed():
    """The Makefile and contrib/venv find them by their folders."""
    command = subprocess.run(["make", "-s", "-n", "typecheck"], cwd=ROOT, capture_output=True, text=True, check=True)
    checked = command.stdout.split()
    assert {f"{folder.relative_to(ROOT)}" for folder in FOLDERS} <= {word.rpartition("/")[0] for word in checked}
    assert "plugins/*/*/setup.cfg" in (ROOT / "contrib" / "venv").read_text()
    for name in ("pyproject.toml", "setup.cfg"):
        text = (ROOT / name).read_text()
        assert not [folder for folder in FOLDERS if f"occopus_{folder.parent.name}_{folder.name}" in text]
