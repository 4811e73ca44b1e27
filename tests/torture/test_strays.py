"""A few trials of a command that stands still; ``make strays`` is for 200 on each cloud."""

from __future__ import annotations

import importlib.util
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .strays import OPERATIONS, trials

pytestmark = pytest.mark.integration

TRIALS = 4
LONGEST = 1500.0


def made(*options):
    words = [sys.executable, "-m", "tests.torture.strays", "--seed", "3", *options]
    folder = Path(__file__).parents[2]
    return subprocess.run(words, check=False, cwd=folder, capture_output=True, text=True, timeout=LONGEST)


@pytest.mark.parametrize("cloud", ["sim", "ec2"])
def test_nothing_is_left_when_a_command_goes_on_after_its_infrastructure_was_destroyed(cloud):
    if cloud == "ec2" and importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed: pip install './plugins/resource/ec2[testing]' in a checkout of Occopus")
    ended = made("--cloud", cloud, "--trials", str(TRIALS))
    assert ended.returncode == 0, ended
    (late,) = re.findall(
        rf"^{TRIALS} trials on {cloud}, .* (\d+) made something .*, 0 strays$", ended.stdout, re.MULTILINE
    )
    assert int(late) >= 1


def test_a_command_that_leaves_what_it_makes_too_late_is_seen():
    ended = made("--trials", "2", "--mutant", "woken-leaves")
    assert ended.returncode == 1
    assert re.search(r"^FAILED: .*: strays: \['sim-", ended.stdout, re.MULTILINE), ended


def test_every_operation_has_its_turn():
    drawn = list(itertools.islice(trials(3), len(OPERATIONS)))
    assert {trial.operation for trial in drawn} == set(OPERATIONS)
    assert all(1 <= trial.at <= OPERATIONS[trial.operation][2] for trial in drawn)
