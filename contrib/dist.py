"""Builds a wheel and a source distribution of every distribution of this repository: ``contrib/dist.py [NAME ...]``.

Distributions contain the files that git tracks, and new files that it does not ignore. Two builds of the same files are
equal byte for byte: times are those of $SOURCE_DATE_EPOCH, by default of the last commit. Each wheel is built from its
source distribution, so that this one is complete. Needs the packages of contrib/requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import configparser
import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import build
from pyproject_hooks import quiet_subprocess_runner

ROOT = Path(__file__).resolve().parent.parent
_OF_THE_CORE = ("LICENSE", "README.md", "VERSION", "occopus_core", "pyproject.toml", "setup.cfg")
_LEFT_OUT = "tests"


def main(argv: Sequence[str]) -> int:
    """Build the named distributions, or all; return the exit code."""
    made = argparse.ArgumentParser(description="Build wheels and source distributions.")
    made.add_argument("--output", type=Path, default=ROOT / "dist", metavar="DIR", help="folder (default: dist)")
    made.add_argument("names", nargs="*", metavar="NAME", help="distributions (default: all)")
    options = made.parse_args(argv)
    projects = distributions()
    unknown = [name for name in options.names if name not in projects]
    if unknown:
        made.error(f"no such distribution: {', '.join(unknown)}; there are: {', '.join(projects)}")
    os.environ.setdefault("SOURCE_DATE_EPOCH", _git("log", "-1", "--format=%ct").strip())
    os.umask(0o022)
    options.output.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        built = threads.map(lambda name: make(projects[name], options.output), options.names or projects)
        for files in built:
            sys.stdout.writelines(f"{file}\n" for file in files)
    return 0


def distributions() -> dict[str, Path]:
    """The folder of every distribution, by name: the core, the module names of 1.x, and each plugin folder."""
    folders = [ROOT, ROOT / "contrib" / "occo", *sorted(file.parent for file in ROOT.glob("plugins/*/*/setup.cfg"))]
    return {_name(folder): folder for folder in folders}


def make(project: Path, output: Path) -> list[Path]:
    """Build the source distribution of a folder, and the wheel from that; return both files."""
    with tempfile.TemporaryDirectory(prefix="occopus-dist-") as name:
        work = Path(name)
        stage(project, work / "staged")
        first = Path(_build(work / "staged", "sdist", work))
        sdist = output / first.name
        normalise(first, sdist)
        with tarfile.open(sdist) as archive:
            archive.extractall(work / "unpacked", filter="data")
        (source,) = (work / "unpacked").iterdir()
        wheel = Path(_build(source, "wheel", output))
    return [sdist, wheel]


def stage(project: Path, folder: Path) -> None:
    """Copy the files of a distribution, links as their targets, with the modes of a fresh checkout."""
    for path in _files(project):
        target = folder / path.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755 if os.access(path, os.X_OK) else 0o644)


def normalise(sdist: Path, target: Path) -> None:
    """Rewrite the archive so that it depends only on names, modes and contents."""
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    with (
        tarfile.open(sdist) as given,
        target.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as written,
    ):
        for member in sorted(given.getmembers(), key=lambda one: one.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.pax_headers = {}
            written.addfile(member, given.extractfile(member) if member.isfile() else None)


def _files(project: Path) -> Iterator[Path]:
    names = _OF_THE_CORE if project == ROOT else (".",)
    for name in _listed(project, *names):
        path = project / name
        if Path(name).parts[0] == _LEFT_OUT and project != ROOT:
            continue
        if path.is_symlink() and path.is_dir():
            target = path.resolve()
            yield from (path / inner for inner in _listed(target, "."))
        elif path.exists():  # a removed file is still in git's index
            yield path


def _listed(folder: Path, *names: str) -> list[str]:
    listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *names, folder=folder)
    return sorted({name for name in listed.split("\0") if name})


def _name(folder: Path) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(folder / "setup.cfg", "utf-8")
    return parser["metadata"]["name"]


def _build(source: Path, kind: Literal["sdist", "wheel"], output: Path) -> str:
    # Without a separate build environment: setuptools is installed, and fetching it takes a minute.
    return build.ProjectBuilder(source, runner=quiet_subprocess_runner).build(kind, output)


def _git(*words: str, folder: Path = ROOT) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
