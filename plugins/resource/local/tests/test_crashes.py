"""Commands that are killed, run concurrently, or lose their terminal."""

import fcntl
import os
import pty
import subprocess
import sys
import termios

import pytest

from occopus_core.api import InstanceState, Owner

from .conftest import DEADLINE

PRELUDE = """
import os, pathlib, signal, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from occopus_core.api import Connection, Context, CreateRequest, InstanceState, Owner
from occopus_resource_local import LocalHandler, addresses, folders, handler as module, launch
handler = LocalHandler(Connection("local", {"root": sys.argv[1]}, {}))
request = CreateRequest("n1", Owner("here", "infra", "web", "id-n1"), {},
                        Context(user_data="#cloud-config\\nruncmd: [echo ran >> ran]\\n"))
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
popen = subprocess.Popen
def spawn_and_die(*args, **kwargs):
    popen(*args, **kwargs)
    die()
def until_made():
    end = time.monotonic() + 600
    while (made := handler.create(request)).state is InstanceState.PROVISIONING and time.monotonic() < end:
        time.sleep(0.005)
    return made
"""

POINTS = {
    "folder made": "folders.NodeFolder.lock = die",
    "lock held": "addresses.AddressPool.claim = die",
    "address claimed": "folders.NodeFolder.write_record = die",
    "record half written": "folders.json.dump = die",
    "record not in place": "pathlib.Path.rename = die",
    "record written": "module.start_supervisor = die",
    "scripts half written": "folders.NodeFolder.write_stages = lambda s, x: (s.work.mkdir(), die())",
    "supervisor not started": "launch.subprocess.Popen = die",
    "supervisor starting": "launch.subprocess.Popen = spawn_and_die",
    "node made": "module.look = die",
}


def run(host, code, **kwargs):
    words = [sys.executable, "-c", PRELUDE + code, str(host.root)]
    return subprocess.Popen(words, text=True, **kwargs)


@pytest.fixture(params=POINTS)
def killed(request, host):
    """A create was killed at this point."""
    process = run(host, f"{POINTS[request.param]}\nhandler.create(request)\n")
    assert process.wait(DEADLINE) == -9


def supervisors(host):
    return [process.pid for process in host.processes() if "supervisor.py" in " ".join(process.cmdline())]


def test_a_killed_create_continues(host, killed):
    listed = {instance.token for instance in host.handler.list_owned(Owner("here"))}
    assert listed <= {"n1"}
    made = host.create(host.cloudinit("runcmd: [echo ran >> ran]\n"))
    assert made.state is InstanceState.READY
    assert host.ended("runcmd") == 0
    host.until(lambda: len(supervisors(host)) == 1)
    assert (host.work() / "ran").read_text() == "ran\n"
    assert [link.readlink().name for link in (host.root / "addresses").iterdir()] == ["n1"]


def test_a_killed_create_can_be_deleted(host, killed):
    for instance in host.handler.list_owned(Owner("here")):
        assert instance.token == "n1"
        host.delete(instance.token)
    assert host.state() is InstanceState.ABSENT
    assert list(host.root.glob("n1")) == []
    host.until(lambda: host.processes() == [])


@pytest.mark.parametrize(
    "point",
    [
        "addresses.AddressPool.release = die",
        "folders._open_up = die",
        "folders.shutil.rmtree = die",
        "pathlib.Path.rmdir = die",
    ],
)
def test_a_killed_deletion_continues(host, point):
    host.create(host.cloudinit("runcmd: [echo ran >> ran]\n"))
    code = f"{point}\nwhile True: handler.delete(['n1']); time.sleep(0.01)\n"
    assert run(host, code).wait(DEADLINE) == -9
    host.delete("n1")


def test_twenty_concurrent_creates_make_one_node(host):
    code = "with ThreadPoolExecutor(5) as pool:\n made = list(pool.map(lambda _: until_made(), range(5)))\n"
    code += "for m in made: print(m.state.value, m.addresses[0].value)\n"
    racers = [run(host, code, stdout=subprocess.PIPE) for _ in range(4)]
    answers = [racer.communicate(timeout=DEADLINE)[0].splitlines() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert [len(lines) for lines in answers] == [5] * 4
    assert len({line for lines in answers for line in lines}) == 1
    assert answers[0][0].startswith("ready ")
    assert host.ended("runcmd") == 0
    host.until(lambda: len(supervisors(host)) == 1)
    assert (host.work() / "ran").read_text() == "ran\n"


def test_concurrent_create_and_delete_end_consistently(host):
    code = "for _ in range(10): handler.create(request)\n"
    racer = run(host, code)
    host.until(lambda: host.deletion_step("n1") and racer.poll() is not None)
    assert racer.returncode == 0
    host.delete("n1")


def test_a_node_outlives_the_command_and_the_terminal_that_started_it(host):
    master, slave = pty.openpty()
    code = "signal.signal(signal.SIGHUP, signal.SIG_DFL)\nuntil_made()\nprint('made', flush=True)\ntime.sleep(1000)\n"

    def take_terminal():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    command = run(host, code, stdin=slave, stdout=subprocess.PIPE, preexec_fn=take_terminal)
    os.close(slave)
    with command.stdout:
        assert command.stdout.readline() == "made\n"
        os.close(master)
        assert command.wait(DEADLINE) == -1  # SIGHUP: the terminal was closed
    assert host.state() is InstanceState.READY
    assert os.getsid(host.folder().living_supervisor()) == host.folder().living_supervisor()
