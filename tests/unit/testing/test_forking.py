"""Commands that are forked behave as console scripts do, and as `subprocess.Popen` has it."""

from __future__ import annotations

import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.forking import SCRIPTS, Command

pytestmark = pytest.mark.slow


@pytest.fixture
def started(tmp_path):
    """Starts a command in an empty folder, with an environment of its own."""

    def start(*words, **how):
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        env = {"HOME": str(tmp_path), "OCCOPUS_STORE": f"sqlite:///{tmp_path}/store.db"}
        return Command([SCRIPTS / words[0], *words[1:]], cwd=tmp_path, env=env, **how)

    return start


def test_it_says_and_returns_what_the_script_does(started, tmp_path):
    words = ["occopus-maintain", "-r", "-i", "missing"]
    with started(*words) as process:
        forked = (*process.communicate(timeout=600), process.wait())
    env = {"HOME": str(tmp_path), "OCCOPUS_STORE": f"sqlite:///{tmp_path}/store.db"}
    script = subprocess.run(
        [SCRIPTS / words[0], *words[1:]],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert forked == (script.stdout, script.stderr, script.returncode)
    assert forked[2] != 0


def test_it_has_its_own_standard_input(started):
    with started("occopus-import", "-", stdin=subprocess.PIPE) as process:
        process.stdin.write("node_def:\n  - [")
        process.stdin.close()
        said = process.communicate(timeout=600)[1]
    assert "standard input" in said
    assert process.returncode == 2


def test_a_signal_is_its_end(started):
    with started("occopus-import", "-", stdin=subprocess.PIPE) as process:
        assert process.poll() is None
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.kill()
        assert process.wait(600) == -signal.SIGKILL
        assert process.poll() == -signal.SIGKILL


def test_what_never_ends_is_killed_where_a_test_fails(started):
    with pytest.raises(ZeroDivisionError), started("occopus-import", "-", stdin=subprocess.PIPE) as process:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL


def test_it_has_its_own_folder(started, tmp_path):
    (tmp_path / "nodes.yaml").write_text("- a list")
    with started("occopus-import", "nodes.yaml") as process:
        assert "nodes.yaml:1" in process.communicate(timeout=600)[1]


def test_threads_may_start_commands_side_by_side(started):
    def ended(_):
        with started("occopus-import", "missing.yaml") as process:
            return process.communicate(timeout=600)[1], process.wait()

    with ThreadPoolExecutor(10) as threads:
        assert len(set(threads.map(ended, range(30)))) == 1
