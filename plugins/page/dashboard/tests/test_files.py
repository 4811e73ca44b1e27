"""The files of the page: complete in the package, with documented libraries."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

FOLDER = Path(str(files("occopus_page_dashboard")))
ROOT = Path(__file__).parents[1]
OWN = sorted(path for path in FOLDER.iterdir() if path.suffix in {".js", ".css", ".html"})


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.js")), ids=lambda path: path.name)
def test_every_import_is_a_file_beside_it(path):
    for name in re.findall(
        r"""^\s*(?:import|export)\b[^;"']*?from\s*["']([^"']+)["']""", path.read_text(), re.MULTILINE
    ):
        assert name.startswith("./"), name
        assert (path.parent / name).is_file(), name


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere_or_built_from_text(path):
    text = path.read_text()
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+/", text.replace("http://www.w3.org/2000/svg", ""))
    assert not re.findall(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    for name in re.findall(r'(?:href|src)="page/([^"]+)"', text):
        assert (FOLDER / name).is_file(), name


def test_the_libraries_are_documented():
    versions = (FOLDER / "lib" / "VERSIONS").read_text().splitlines()
    assert re.findall(r"^fetch (\S+ \S+)", (ROOT / "fetch-libraries").read_text(), re.MULTILINE) == versions
    assert re.findall(r"^\| (\S+ \d\S+) \|", (ROOT / "README.md").read_text(), re.MULTILINE) == versions
    for version in versions:
        assert (FOLDER / "lib" / f"{version.split()[0].split('/')[-1]}.LICENSE").is_file()
