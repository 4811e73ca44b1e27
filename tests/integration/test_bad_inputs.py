"""Mistakes that show only when description, definitions and plugins are combined: refused without a call.

Each case is `NAME.yaml`, a description, with `NAME.nodes.yaml`, its node definitions, and `NAME.expected`: the lines.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from occopus_core.cli import build, import_

# stevedore has deprecated an option that the registry uses.

BAD = Path(__file__).parent / "bad"
CASES = sorted(path.name.removesuffix(".expected") for path in BAD.glob("*.expected"))


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    """An empty home and store, and unchanged signals."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OCCOPUS_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.chdir(BAD)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_every_case_is_complete():
    assert len(CASES) >= 15
    names = {path.name.split(".")[0] for path in BAD.iterdir()}
    assert names == set(CASES)
    assert all((BAD / f"{case}{suffix}").exists() for case in CASES for suffix in (".yaml", ".nodes.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_refused_with_these_lines(case, capsys):
    code = import_.main([f"{case}.nodes.yaml"]) or build.main([f"{case}.yaml", "-i", "refused"])
    said = capsys.readouterr()
    assert code == 2
    assert said.err.rstrip("\n") == (BAD / f"{case}.expected").read_text().rstrip("\n")
