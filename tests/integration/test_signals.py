"""A closed terminal and a full disk lose nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import LONGEST

pytestmark = pytest.mark.integration


def close_terminal(user, line, *words):
    """Run a command on a terminal of its own, which is gone once a line has been seen."""
    controller, terminal = pty.openpty()
    process = user.start(
        *words,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        environ={"TERM": "xterm"},
        before=["setsid", "-c"],
    )
    os.close(terminal)
    seen = b""
    while line not in seen:
        seen += os.read(controller, 4096)
    os.close(controller)  # the kernel sends SIGHUP, and every write fails from now on
    return process


def test_a_build_whose_terminal_vanishes_is_undone(ready, cloud, describe):
    ready.ready("import", ready.write("slow.yaml", cloud.definitions("slow", boot_seconds=30)))
    ready.write("slow-trial.yaml", describe("first", "last", type="slow"))
    process = close_terminal(ready, b"booting", "build", "slow-trial.yaml", "-i", "gone", "--parallelize")
    assert process.wait(LONGEST) in (128 + signal.SIGHUP, -signal.SIGHUP)
    assert cloud.machines("gone") == []
    assert ready.rows("gone") == 0


def test_a_destruction_whose_terminal_vanishes_can_be_gone_on_with(ready, cloud, describe):
    ready.ready("import", ready.write("slow.yaml", cloud.definitions("slow", delete_seconds=5)))
    ready.write("slow-trial.yaml", describe("first", type="slow"))
    ready.ready("build", "slow-trial.yaml", "-i", "gone")
    process = close_terminal(ready, b"dropping", "destroy", "-y", "-i", "gone")
    assert process.wait(LONGEST) in (128 + signal.SIGHUP, -signal.SIGHUP)
    assert ready.rows("gone") == 2
    ready.ready("destroy", "-i", "gone")
    assert cloud.machines("gone") == []
    assert ready.rows("gone") == 0


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
NOHUP = ["nohup"]


def healing_of(user, *words, **how):
    """A command that maintains, when it has just begun to make what was lost."""
    process = user.start("maintain", "-i", "ill", *words, **how)
    assert any("node booting" in line for line in process.stderr)
    return process


@pytest.mark.parametrize("number", ENDING)
def test_a_pass_that_heals_ends_at_a_signal_and_the_next_carries_it_on(ill, assert_carried_on, number):
    with healing_of(ill) as process:
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(LONGEST) == 128 + number, rest
    assert "interrupted; the next pass continues" in rest
    assert "Traceback" not in rest
    assert_carried_on()


@pytest.mark.parametrize("number", ENDING)
def test_passes_over_and_over_end_at_a_signal_in_order(ill, assert_carried_on, number):
    with healing_of(ill, "-c") as process:
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(LONGEST) == 0, rest
    assert "Traceback" not in rest
    assert_carried_on()


def test_passes_over_and_over_end_although_the_cloud_hangs(ill, cloud, assert_carried_on):
    with healing_of(ill, "-c", "-t", "1") as process:
        cloud.set_faults([{"kind": "hang"}])
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST) == 0
    cloud.set_faults([])
    assert_carried_on()


def test_a_signal_ends_maintenance_whichever_thread_receives_it(ill, assert_carried_on):
    with healing_of(ill, "-c") as process:
        others = {int(thread.name) for thread in Path(f"/proc/{process.pid}/task").iterdir()} - {process.pid}
        kill = ctypes.CDLL(None).tgkill
        assert any(kill(process.pid, other, signal.SIGTERM) == 0 for other in others), "one that has not ended yet"
        assert process.wait(LONGEST) == 0
    assert_carried_on()


@pytest.mark.parametrize("words", [[], ["-c"]], ids=["once", "over and over"])
def test_a_pass_whose_terminal_vanishes_is_carried_on(ill, assert_carried_on, words):
    process = close_terminal(ill, b"booting", "maintain", "-i", "ill", *words)
    assert process.wait(LONGEST) in (0, 128 + signal.SIGHUP, -signal.SIGHUP)
    assert_carried_on()


def test_who_starts_it_with_nohup_has_it_go_on(ill, assert_carried_on):
    with healing_of(ill, "-c", "-t", "1", before=NOHUP) as process:
        process.send_signal(signal.SIGHUP)
        assert any("node ready" in line for line in process.stderr), "it goes on"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST) == 0
    assert_carried_on()


@pytest.fixture
def little_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(b"x" * 512):
            pass


@pytest.mark.parametrize("name", ["build", "import", "destroy"])
def test_a_full_disk_is_reported_before_anything_is_made(ready, cloud, little_disk, name):
    url = {"OCCOPUS_STORE": f"sqlite:///{little_disk}/store.db"}
    ready.ready("import", "nodes.yaml", environ=url)
    ready.ready("build", "trial.yaml", "-i", "runs", environ=url)
    before = cloud.inventory()
    fill(little_disk)
    words = {"build": ["trial.yaml", "-i", "x"], "import": ["nodes.yaml"], "destroy": ["-i", "runs"]}[name]
    ended = ready.run(name, *words, environ=url)
    assert (ended.code, ended.stdout) == (4, ""), ended
    assert ended.complaint[-1].startswith("error: the store ")
    assert "full" in ended.complaint[-1]
    assert cloud.inventory() == before
    (little_disk / "filler").unlink()
    ready.ready("destroy", "-i", "runs", environ=url)
    assert cloud.machines("runs") == []


def test_a_disk_that_fills_up_during_a_build_loses_nothing(ready, cloud, little_disk, describe):
    url = {"OCCOPUS_STORE": f"sqlite:///{little_disk}/store.db"}
    ready.ready("import", ready.write("slow.yaml", cloud.definitions("slow", boot_seconds=2)), environ=url)
    ready.write("slow-trial.yaml", describe("a", "b", "c", type="slow", min=3, edges=[("b", "a"), ("c", "b")]))
    with ready.start("build", "slow-trial.yaml", "-i", "x", "--parallelize", environ=url) as process:
        assert any(line.startswith("node booting") for line in process.stderr)
        fill(little_disk)
        rest = process.stderr.read()
        assert process.wait(LONGEST) == 4, rest
    assert "Traceback" not in rest
    assert "error: the store " in rest
    assert "occopus-build -i x with the same files continues it" in rest
    (little_disk / "filler").unlink()
    ready.ready("build", "slow-trial.yaml", "-i", "x", "--parallelize", environ=url)
    assert len(cloud.machines("x")) == 9
