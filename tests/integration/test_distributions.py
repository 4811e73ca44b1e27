"""The distributions of ``make dist``, and an installation from them without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.pins import without_hashes

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
LONGEST = 1200.0
"""Seconds after which a program is taken for stuck."""
EPOCH = "1700000000"


def run(*words, cwd=ROOT, **environ):
    ended = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def test_every_distribution_is_whole_sound_and_the_same_again(tmp_path):
    builds = [tmp_path / name for name in ("first", "second")]
    for folder in builds:
        run(sys.executable, "contrib/dist.py", "--output", folder, SOURCE_DATE_EPOCH=EPOCH)
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in builds)
    assert first == second
    folders = [ROOT, ROOT / "contrib" / "occo", *(file.parent for file in ROOT.glob("plugins/*/*/setup.cfg"))]
    wheels, archives = (sorted(builds[0].glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    assert len(wheels) == len(archives) == len(folders)
    for wheel in wheels:
        names = zipfile.ZipFile(wheel).namelist()
        package = wheel.name.partition("-")[0]
        assert f"{package}/py.typed" in names
        assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
        assert {name.partition("/")[0].partition("-")[0] for name in names} == {package}, "nothing but the package"
    (core,) = builds[0].glob("occopus_core-*.whl")
    template = ROOT / "contrib" / "plugin-template"
    files = {path.relative_to(template).as_posix() for path in template.rglob("*") if path.is_file()}
    start = "occopus_core/plugin_template/"
    shipped = {name.removeprefix(start) for name in zipfile.ZipFile(core).namelist() if name.startswith(start)}
    assert shipped == files
    for archive in archives:
        with tarfile.open(archive) as opened:
            members = opened.getmembers()
        inside = {member.name.partition("/")[2] for member in members}
        assert {"LICENSE", "README.md", "VERSION", "PKG-INFO", "pyproject.toml"} <= inside
        assert {(member.mtime, member.uid, member.uname) for member in members} == {(int(EPOCH), 0, "")}
    programs = Path(sys.executable).parent
    run(programs / "twine", "check", "--strict", *wheels, *archives)
    run(programs / "check-wheel-contents", *wheels)


def test_a_plugin_is_installed_from_a_folder_of_wheels_and_runs_in_an_empty_folder(tmp_path):
    dist, venv, home = tmp_path / "dist", tmp_path / "venv", tmp_path / "home"
    home.mkdir()
    run(sys.executable, "contrib/dist.py", "--output", dist, "occopus-core", "occopus-resource-sim")
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    install = [sys.executable, "-m", "pip", "--python", venv, "install", "--quiet", "--find-links", dist]
    constraints = ["--constraint", without_hashes(tmp_path)]
    run(*install, *constraints, "occopus-resource-sim", cwd=home)

    def command(name, *words, **how):
        return subprocess.run(
            [venv / "bin" / f"occopus-{name}", *words],
            cwd=home,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
            **how,
        )

    listed = command("plugins", "list")
    assert listed.returncode == 0, listed
    version = (ROOT / "VERSION").read_text().strip()
    lines = {line.split()[1]: line.split() for line in listed.stdout.splitlines()}
    assert lines["sim"] == ["resource", "sim", "occopus-resource-sim", version, "1", "usable"]
    for name in ("build", "destroy", "import", "logs", "maintain", "plugins", "rest-service", "scale", "ssh"):
        assert command(name, "--help").returncode == 0
    assert command("maintain", "-l").returncode == 0
    for name, words, extra in (
        ("rest-service", (), "rest"),
        ("simulated-cloud", ("--database", "x"), "testing"),
        ("simulated-manager", ("--database", "x"), "testing"),
        ("plugins", ("check", "cloudinit"), "testing"),
        ("plugins", ("new", "health", "acme"), "template"),
    ):
        ended = command(name, *words)
        (line,) = ended.stderr.splitlines()
        assert ended.returncode == 4, line
        assert line.startswith("error: ")
        assert f"the extra [{extra}] of occopus-core" in line
    (home / "occopus_config.yaml").write_text("store: postgresql://nobody@127.0.0.1/none\n")
    ended = command("maintain", "-l", "--cfg", "occopus_config.yaml")
    assert ended.returncode == 4
    assert "the extra [postgresql] of occopus-core" in ended.stderr
    assert "Traceback" not in ended.stderr
