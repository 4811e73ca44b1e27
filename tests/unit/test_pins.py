"""What the project is used and tested with is pinned, and nothing else than what was pinned is installed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.pins import FILES, pins

ROOT = Path(__file__).resolve().parents[2]


def needed(names):
    """The third-party requirements of the project's distributions, and of those, on this system: name → required by."""
    found, seen = {}, set()
    todo = [(name, "") for name in names]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in distribution(name).requires or ():
            one = Requirement(text)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                found.setdefault(canonicalize_name(one.name), name)
                todo += [(canonicalize_name(one.name), wanted) for wanted in ("", *one.extras)]
    return {name: by for name, by in found.items() if not name.startswith("occopus-")}


def ours():
    return [one.metadata["Name"] for one in distributions() if one.metadata["Name"].startswith("occopus-")]


def test_what_it_takes_to_use_the_project_is_pinned_in_the_first_file():
    (use,) = [path for path in FILES if path.name == "constraints.txt"]
    pinned = {canonicalize_name(Requirement(pin).name) for pin in pins(use)}
    required = needed(ours())
    assert len(required) > 60
    assert {name: by for name, by in required.items() if name not in pinned} == {}


def test_each_distribution_is_pinned_in_one_file_and_that_version_is_installed():
    found = {}
    for path in FILES:
        for pin in pins(path):
            one = Requirement(pin)
            if one.marker is None or one.marker.evaluate():
                found.setdefault(canonicalize_name(one.name), []).append(str(one.specifier).removeprefix("=="))
    assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}
    installed = {canonicalize_name(one.metadata["Name"]): one.version for one in distributions()}
    others = {name: (version, found[name][0]) for name, version in installed.items() if name in found}
    assert len(others) > 150
    assert {name: both for name, both in others.items() if both[0] != both[1]} == {}


def test_a_file_that_is_not_the_pinned_one_is_not_installed(tmp_path):
    (tmp_path / "contrib").mkdir()
    shutil.copy(ROOT / "contrib" / "venv", tmp_path / "contrib")
    wheel = tmp_path / "wheels" / "harmless-1-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"another file than the pinned one")
    pinned = hashlib.sha256(b"the pinned one").hexdigest()
    (tmp_path / "contrib" / "constraints.txt").write_text(f"harmless==1 \\\n    --hash=sha256:{pinned}\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    pip = tmp_path / ".venv" / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip --python {tmp_path}/.venv "$@"\n')
    pip.chmod(0o755)
    environ = {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)}
    ended = subprocess.run(
        ["contrib/venv"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode != 0
    assert "DO NOT MATCH THE HASHES" in ended.stderr
    assert pinned in ended.stderr.replace("\n", "")
