"""Deletion stops every process of a node, even if some were killed before."""

import contextlib
import errno
import io
import os
import select
import signal
import sys

import psutil
import pytest

from occopus_core.api import InstanceState
from occopus_resource_local import folders, supervisor
from occopus_resource_local.testing import GRACEFUL

from .conftest import DEADLINE

DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(1000)
"""


def kill(pid):
    """SIGKILL a process and wait until it has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], DEADLINE)[0]
    finally:
        os.close(descriptor)


@pytest.fixture
def daemon(host):
    """A node whose daemon has left its session, process group and parent."""

    def start(before="", **kwargs):
        files = "write_files:\n- path: daemon.py\n  content: |\n" + "".join(
            f"    {line}\n" for line in DAEMON.splitlines()
        )
        host.create(host.cloudinit(f"{files}runcmd: ['{before} python3 daemon.py \"$PWD/pid\"']\n", **kwargs))
        text = host.until(lambda: (host.work() / "pid").exists() and (host.work() / "pid").read_text())
        return psutil.Process(int(text))

    return start


def gone(process):
    with contextlib.suppress(psutil.NoSuchProcess):  # it may be reaped between the two lines
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.parametrize("before", ["", 'env -i /usr/bin/env PATH="$PATH"'])
def test_a_daemon_is_stopped(host, daemon, before):
    process = daemon(before)
    host.delete("n1")
    assert gone(process)


@pytest.mark.parametrize("before", ["", 'env -i /usr/bin/env PATH="$PATH"'])
def test_a_daemon_is_stopped_after_its_supervisor_was_killed(host, daemon, before):
    process = daemon(before)
    kill(host.folder().living_supervisor())
    assert host.look().state is InstanceState.STOPPED
    assert host.look().reason == "its supervisor was ended from outside"
    assert not gone(process)
    host.delete("n1")
    assert gone(process)


def test_unmarked_descendants_end_with_their_marked_parent(host):
    inner = "env -i /bin/sh -c 'exec >/dev/null 2>&1; sleep 1000'"
    host.create(host.cloudinit(f'runcmd: ["{inner} & echo $! > pid; wait"]\n'))
    host.until(lambda: (host.work() / "pid").exists() and (host.work() / "pid").read_text().endswith("\n"))
    process = psutil.Process(int((host.work() / "pid").read_text()))
    kill(host.folder().living_supervisor())
    host.delete("n1")
    assert gone(process)


def test_stop_lets_a_program_end_by_itself(host):
    host.create(host.request(command=(sys.executable, "-c", GRACEFUL, "0")))
    host.until((host.work() / "up").exists)
    assert host.handler.stop(["n1"]) == {"n1": None}
    host.until(lambda: host.state() is InstanceState.STOPPED)
    assert (host.work() / "ended").exists()


def test_a_signal_reaches_a_parent_before_its_children(monkeypatch):
    """Otherwise a shell that waits for a child ended by the signal would end too, without its trap."""
    parents = {4: 64, 64: 512, 2: 512, 1: 4, 512: 7, 7: 2}  # 7 is above 512: its number was reused below it
    monkeypatch.setattr(supervisor, "parents_of_all", lambda: parents)
    assert supervisor.descendants(512) == [64, 2, 4, 7, 1]


STUBBORN = 'trap "" TERM; touch up; while :; do sleep 1000; done'


def test_a_program_that_ignores_sigterm_runs_until_deletion(host):
    host.create(host.request(command=("sh", "-c", STUBBORN)))
    host.until((host.work() / "up").exists)
    host.handler.stop(["n1"])
    program = psutil.Process(host.folder().living_supervisor()).children()[0]
    with pytest.raises(psutil.TimeoutExpired):
        program.wait(0.2)
    assert host.state() is InstanceState.READY
    host.delete("n1")
    assert gone(program)


def test_the_handler_kills_what_ignores_sigterm_after_its_supervisor_was_killed(host):
    host.create(host.request(command=("sh", "-c", STUBBORN)))
    host.until((host.work() / "up").exists)
    kill(host.folder().living_supervisor())
    host.delete("n1")
    assert host.processes() == []


def test_processes_left_by_an_ended_program_are_killed_after_a_while(host):
    host.create(host.request(command=("sh", "-c", f"sh -c '{STUBBORN}' & while [ ! -e up ]; do sleep 0.01; done")))
    host.until(lambda: host.state() is InstanceState.STOPPED)
    assert host.processes() == []


def test_a_stopped_supervisor_does_not_stop_deletion(host):
    host.create(host.request(command="sleep 1000"))
    os.kill(host.folder().living_supervisor(), signal.SIGSTOP)
    host.delete("n1")


def test_no_stage_starts_during_deletion(host):
    host.create(host.cloudinit("bootcmd: [touch up; sleep 1000]\nruncmd: [touch late; sleep 1000]\n"))
    host.until((host.work() / "up").exists)
    seen = set()

    def deleted():
        seen.add((host.work() / "late").exists())
        return host.deletion_step("n1")

    host.until(deleted)
    assert seen == {False}


def test_a_stopped_supervisor_ends_everything(host, daemon):
    process = daemon()
    os.kill(host.folder().living_supervisor(), signal.SIGTERM)
    host.until(lambda: host.state() is InstanceState.STOPPED)
    assert gone(process)


def test_the_record_of_a_dead_supervisor_never_matches_a_reused_process_id(host):
    host.create(host.request())
    kill(host.folder().living_supervisor())
    bystander = psutil.Popen(["sleep", "1000"])
    try:
        _, ticks = host.folder().supervisor()
        (host.folder().path / "supervisor").write_text(f"{bystander.pid} {ticks - 1}\n")
        assert host.state() is InstanceState.STOPPED
        host.delete("n1")
        assert not gone(bystander)
    finally:
        bystander.kill()
        bystander.wait()


def test_many_are_deleted_at_once_and_one_failure_stops_no_other(host, monkeypatch):
    for token in ("n1", "n2", "n3"):
        host.create(host.request(token))
    real = psutil.Process.send_signal
    kept = host.folder("n2").living_supervisor()

    def send_signal(process, number):
        if process.pid == kept:
            raise psutil.AccessDenied(process.pid)
        real(process, number)

    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "send_signal", send_signal)
        outcome = host.handler.delete(["n1", "n2", "n3"])
    assert outcome["n1"] is outcome["n3"] is None
    assert "belongs to another user" in str(outcome["n2"])
    host.delete("n1", "n2", "n3")


def test_a_write_protected_folder_is_removed(host):
    host.create(host.cloudinit("runcmd: [mkdir -p a/b, touch a/b/c, chmod 0 a/b a]\n"))
    assert host.ended("runcmd") == 0
    host.delete("n1")


@pytest.fixture
def full(monkeypatch):
    """A disk with room for file names but not for content; with `refused` not even for those names."""

    def fill(refused=""):
        @contextlib.contextmanager
        def private(path, _flags):
            if path.parent.name != refused:
                path.touch()
            yield (file := io.StringIO())
            if file.getvalue() or path.parent.name == refused:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(folders, "_private", private)

    return fill


def test_a_full_disk_does_not_prevent_stopping(host, full):
    host.create(host.cloudinit("runcmd: [sleep 1000]\n"))
    full()
    host.delete("n1")
    assert host.processes() == []
    assert not host.folder().exists()


def test_a_node_that_cannot_be_marked_blocks_no_other(host, full, monkeypatch):
    for token in ("n1", "n2"):
        host.create(host.cloudinit("runcmd: [sleep 1000]\n", token))
    full(refused="n1")
    refused = set()

    def gone():
        refused.add(str(host.handler.delete(["n1", "n2"])["n1"]))
        return host.state("n2") is InstanceState.ABSENT

    host.until(gone)
    (message,) = refused
    assert message.startswith("deleting the node n1: No space left on device")
    assert host.state("n1") is not InstanceState.ABSENT
    monkeypatch.undo()
    host.delete("n1")
