"""A few kills of commands with nodes of a Chef server; ``python -m tests.torture.chef --kills 200`` is for longer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from occopus_config_chef.testing import installed

pytestmark = pytest.mark.integration

KILLS = 6
LONGEST = 1500.0


def test_nothing_is_doubled_and_nothing_is_left_at_the_chef_server():
    if not installed():
        pytest.skip("goiardi is not installed: apt-get install goiardi")
    words = [sys.executable, "-m", "tests.torture.chef", "--kills", str(KILLS), "--seed", "5"]
    ended = subprocess.run(
        words, check=False, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=LONGEST
    )
    assert ended.returncode == 0, ended
    (kills,) = re.findall(r"^(\d+) kills in .*: nothing was doubled, nothing is left$", ended.stdout, re.MULTILINE)
    assert int(kills) >= KILLS
