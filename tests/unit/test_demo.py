"""The commands that `make demo` offers at its end."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

DEMO = Path(__file__).parents[2] / "contrib" / "demo"
OFFERED = "\n".join(line for line in DEMO.read_text().splitlines() if line.startswith("offer"))
LINES = subprocess.run(
    ["sh", "-eu", "-c", f"id=quickstart\n{OFFERED}"], capture_output=True, text=True, check=True
).stdout.splitlines()


def test_they_fit_a_terminal_and_show_the_main_commands():
    assert max(map(len, LINES)) <= 80
    assert {re.match(r"  bin/occopus-(\S+)", line)[1] for line in LINES} == {
        *("maintain", "logs", "scale", "build", "rest-service", "destroy")
    }
