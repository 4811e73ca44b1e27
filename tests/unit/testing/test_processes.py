from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from occopus_core.testing.processes import end

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
OBEDIENT = "import time; print('here', flush=True); time.sleep(600)"


@pytest.mark.parametrize(
    ("program", "seconds", "code"), [(DEAF, 0.1, -signal.SIGKILL), (OBEDIENT, 60, -signal.SIGTERM)]
)
def test_a_process_is_asked_to_end_and_then_made_to(program, seconds, code):
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    process.stdout.readline()
    for _ in range(2):
        end(process, seconds)
        assert process.returncode == code
    assert process.stdout.closed
