"""No requirement and no pin allows a version with a known vulnerability."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HASH = f"\\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}"


def audit(root):
    ended = subprocess.run(
        [sys.executable, ROOT / "contrib" / "audit.py", root], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout.splitlines(), ended.stderr


@pytest.fixture
def project(tmp_path):
    (tmp_path / "contrib").mkdir()
    shutil.copy(ROOT / "contrib" / "floors.txt", tmp_path / "contrib")
    (tmp_path / "contrib" / "constraints.txt").write_text(f"Jinja2==3.1.6 {HASH}\n")
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools >= 78.1.1"]\n')
    (tmp_path / "setup.cfg").write_text("[options]\ninstall_requires =\n    Jinja2 >= 3.1.6\n")
    return tmp_path


def test_the_project_is_without_faults():
    assert audit(ROOT) == (0, [], "")


def test_the_list_names_the_sandbox_escape_of_jinja2():
    line = next(one for one in (ROOT / "contrib" / "floors.txt").read_text().splitlines() if one.startswith("Jinja2"))
    assert line.split()[1:4] == ["3.1.6", "2026-11-28", "CVE-2025-27516:"]


@pytest.mark.parametrize(
    ("requirement", "fault"),
    [
        ("Jinja2 >= 3.1.5", "Jinja2>=3.1.5: expected >= 3.1.6, see contrib/floors.txt"),
        ("Jinja2 == 3.1.5", "Jinja2==3.1.5: expected >= 3.1.6, see contrib/floors.txt"),
        ("jinja2 < 4", "jinja2: no lowest version: write >= 3.1.6"),
        ("unheard-of >= 1", "unheard-of: contrib/floors.txt has no version for it: add one"),
    ],
)
@pytest.mark.parametrize("place", ["install_requires", "extra", "plugin"])
def test_a_requirement_below_the_floor_is_a_fault(project, requirement, fault, place):
    file = project / "setup.cfg"
    text = f"[options]\ninstall_requires =\n    {requirement}\n"
    if place == "extra":
        text = f"[options.extras_require]\nrest =\n    {requirement}\n"
    if place == "plugin":
        file = project / "plugins" / "health" / "network" / "setup.cfg"
        file.parent.mkdir(parents=True)
    file.write_text(text)
    assert audit(project) == (1, [f"{file.relative_to(project)}: {fault}"], "")


def test_a_pin_and_what_a_package_is_built_with_count_too(project):
    (project / "contrib" / "constraints.txt").write_text(f"# pins\nJinja2==3.1.5 {HASH}\nurllib3==2.7.0 {HASH}\n")
    (project / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools >= 77"]\n')
    assert audit(project)[1] == [
        "pyproject.toml: setuptools>=77: expected >= 78.1.1, see contrib/floors.txt",
        "contrib/constraints.txt: Jinja2==3.1.5: expected >= 3.1.6, see contrib/floors.txt",
    ]


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-dev.txt"])
def test_a_pin_without_hashes_is_a_fault(project, file):
    pins = f"certifi==2026.10.18 {HASH}\nidna==3.20 ; python_version < '4'\nJinja2==3.1.6 {HASH}\n"
    (project / "contrib" / file).write_text(pins)
    expected = f'contrib/{file}: idna==3.20; python_version < "4": it has no hash: make pins'
    assert audit(project)[1] == [expected]


@pytest.mark.parametrize("line", ["Jinja2 3.1.6", "Jinja2 3.1.6 now a good reason", "Jinja2 x 2026-11-28 a reason"])
def test_a_line_without_version_date_or_reason_is_refused(project, line):
    (project / "contrib" / "floors.txt").write_text(line + "\n")
    code, _, said = audit(project)
    assert code == 1
    assert "floors.txt:1: expected NAME VERSION DATE REASON" in said
