"""Effects of the manager `ssh` on nodes, and its error messages."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import jsonschema
import pytest

from occopus_config_ssh import SshManager, scripts
from occopus_core.api import Address, ConfigNode, ConfigState, Connection, PermanentError, TransientError
from occopus_core.api.ssh import MemoryHostKeys, generate_host_key

SECONDS = 120.0
STATE = Path("/var/lib/occopus")


@pytest.fixture
def keys():
    return MemoryHostKeys()


@pytest.fixture
def manager(server, keys):
    return SshManager(Connection("ssh", {}, server.auth, SECONDS, keys))


@pytest.fixture
def made(server):
    """Makes nodes, and removes their files from this machine."""
    nodes = []

    def make(*commands, address="", generation="g1", node_id="", **section):
        section = {"port": server.port, "commands": list(commands), **section}
        known = node_id or str(uuid.uuid4())
        nodes.append(known)
        addresses = (Address(address or server.addresses[0]),)
        return ConfigNode(
            "i", "infra", "infra", "web", known, f"t-{known}", section, generation=generation, addresses=addresses
        )

    yield make
    for known in nodes:
        shutil.rmtree(STATE / known, ignore_errors=True)


def ended(manager, node):
    """The status of a node once its job has ended."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        status = manager.status([node])[node.node_id]
        if status.state not in (ConfigState.RUNNING, ConfigState.UNKNOWN):
            return status
    raise AssertionError("the job does not end")


def configured(manager, node):
    manager.configure(node)
    return ended(manager, node)


def gone(file):
    """Whether the process whose id is in the file has ended; it may not be reaped yet."""
    try:
        return Path("/proc", file.read_text().strip(), "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def written(file):
    """Whether a command has written a line to the file: a shell creates the file before it writes to it."""
    return file.exists() and file.read_text().endswith("\n")


def until(true, what):
    ends = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < ends, what


class TestFiles:
    def test_they_are_written_with_mode_and_owner(self, manager, made, tmp_path):
        path = tmp_path / "some folder" / "it's"
        file = {"path": str(path), "content": "ünï\n$HOME `id` OCCOPUS_FILE\n", "mode": "0640", "owner": "daemon:adm"}
        assert configured(manager, made(files=[file])).state is ConfigState.READY
        assert path.read_text() == file["content"]
        assert (path.stat().st_mode & 0o7777, path.owner(), path.group()) == (0o640, "daemon", "adm")
        assert [each.name for each in path.parent.iterdir()] == [path.name]

    def test_an_unchanged_file_is_left_alone(self, manager, made, tmp_path):
        file = {"path": str(tmp_path / "file"), "content": "a"}
        configured(manager, made(files=[file]))
        before = (tmp_path / "file").stat().st_ino
        configured(manager, made(files=[file]))
        assert (tmp_path / "file").stat().st_ino == before
        configured(manager, made(files=[{**file, "mode": "0600"}]))
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600

    def test_a_link_is_replaced_and_not_followed(self, manager, made, tmp_path):
        (tmp_path / "other").write_text("b")
        (tmp_path / "file").symlink_to(tmp_path / "other")
        configured(manager, made(files=[{"path": str(tmp_path / "file"), "content": "a"}]))
        assert (tmp_path / "other").read_text() == "b"
        assert not (tmp_path / "file").is_symlink()

    def test_an_unwritable_file_is_named(self, manager, made, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "plain").write_text("")
        status = configured(manager, made(files=[{"path": f"{tmp_path}/plain/file", "content": "a"}]))
        assert status.state is ConfigState.FAILED
        assert status.reason.startswith(f"file {tmp_path}/plain/file ended with exit code 1: ")

    def test_many_and_large_files(self, manager, made, tmp_path):
        files = [{"path": f"{tmp_path}/{number}", "content": str(number) * 200_000} for number in range(8)]
        assert configured(manager, made(files=files)).state is ConfigState.READY
        assert (tmp_path / "7").read_text() == "7" * 200_000


class TestCommands:
    def test_commands_run_in_order_after_the_files(self, manager, made, tmp_path):
        file = {"path": f"{tmp_path}/log", "content": "file\n"}
        commands = [f"echo one >>{tmp_path}/log", {"run": f"echo 'two' >>{tmp_path}/log"}]
        assert configured(manager, made(*commands, files=[file])).state is ConfigState.READY
        assert (tmp_path / "log").read_text() == "file\none\ntwo\n"

    def test_the_first_failure_ends_the_job(self, manager, made, tmp_path):
        failing = {"run": "echo before; echo no disk >&2; exit 7", "name": "format"}
        status = configured(manager, made("true", failing, f"touch {tmp_path}/never"))
        assert status.state is ConfigState.FAILED
        assert status.reason == "command 2 of 3 (format) ended with exit code 7: no disk"
        assert not (tmp_path / "never").exists()

    def test_the_output_of_a_failed_job_is_in_its_status(self, manager, made):
        status = configured(manager, made("seq 100; echo; echo '  last' >&2; exit 7"))
        assert status.reason == "command 1 of 1 ended with exit code 7: last"
        assert status.output == "".join(f"{number}\n" for number in range(62, 101)) + "  last\n"

    def test_truncated_output_begins_with_a_whole_line(self, manager, made):
        status = configured(manager, made("echo begin; seq -s x 20000; echo end; exit 7"))
        assert status.output == "end\n"

    def test_a_job_that_succeeds_has_no_output(self, manager, made):
        assert not configured(manager, made("echo done")).output

    def test_unless_of_a_command(self, manager, made, tmp_path):
        command = {"run": f"echo >>{tmp_path}/log", "unless": f"test -e {tmp_path}/log"}
        assert configured(manager, made(command, command)).state is ConfigState.READY
        assert (tmp_path / "log").read_text() == "\n"

    def test_unless_of_the_section(self, manager, made, tmp_path):
        command, file = f"touch {tmp_path}/never", {"path": f"{tmp_path}/file", "content": ""}
        assert (
            configured(manager, made(command, files=[file], unless=f"test -e {tmp_path}/file")).state
            is ConfigState.READY
        )
        assert not (tmp_path / "never").exists()

    def test_progress_names_the_step(self, manager, made, tmp_path):
        node = made("true", {"run": f"echo secret; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done", "name": "wait"})
        manager.configure(node)
        until(lambda: manager.status([node])[node.node_id].progress == "command 2 of 2 (wait)", "no progress")
        assert manager.status([node])[node.node_id].state is ConfigState.RUNNING
        (tmp_path / "go").touch()
        assert ended(manager, node).state is ConfigState.READY

    def test_a_daemon_started_by_a_command_keeps_running(self, manager, made, tmp_path):
        node = made(f"setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 1000' >/dev/null 2>&1 &")
        assert configured(manager, node).state is ConfigState.READY
        until(lambda: written(tmp_path / "pid"), "the daemon has not started")
        os.kill(int((tmp_path / "pid").read_text()), 15)

    def test_a_finished_job_is_not_repeated(self, manager, made, tmp_path):
        node = made(f"echo >>{tmp_path}/log")
        for _ in range(3):
            configured(manager, node)
        assert (tmp_path / "log").read_text() == "\n"

    def test_a_failed_job_is_repeated(self, manager, made, tmp_path):
        node = made(f"test -e {tmp_path}/go")
        assert configured(manager, node).state is ConfigState.FAILED
        (tmp_path / "go").touch()
        assert configured(manager, node).state is ConfigState.READY


class TestKills:
    """A job belongs to its node: whichever process is killed, the job is found again, and never duplicated."""

    def test_a_job_continues_without_its_manager(self, server, keys, manager, made, tmp_path):
        node = made(f"echo >>{tmp_path}/log; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
        manager.configure(node)
        until(lambda: written(tmp_path / "log"), "the job has not begun")
        manager._pool.close()
        other = SshManager(Connection("ssh", {}, server.auth, SECONDS, keys))
        other.configure(node)
        (tmp_path / "go").touch()
        assert ended(other, node).state is ConfigState.READY
        assert (tmp_path / "log").read_text() == "\n"

    def test_a_newer_generation_ends_the_job_with_its_processes(self, manager, made, tmp_path):
        first = made(f"echo $$ >{tmp_path}/pid; sleep 1000 & trap '' TERM; wait; sleep 1000")
        manager.configure(first)
        until(lambda: written(tmp_path / "pid"), "the job has not begun")
        second = made("true", node_id=first.node_id, generation="g2")
        assert configured(manager, second).generation == "g2"
        until(lambda: gone(tmp_path / "pid"), "the command is still running")

    def test_a_lost_job_may_start_again(self, manager, made, tmp_path):
        node = made(f"echo >>{tmp_path}/log; sleep 1000")
        manager.configure(node)
        until(lambda: written(tmp_path / "log"), "the job has not begun")
        os.killpg(int((STATE / node.node_id / "session").read_text()), 9)  # like a restart of the node
        assert ended(manager, node).state is ConfigState.PENDING
        manager.configure(node)
        until(lambda: (tmp_path / "log").read_text() == "\n\n", "it did not begin again")
        manager.cancel([node])
        assert ended(manager, node).state is ConfigState.PENDING
        assert not (STATE / node.node_id / "job").exists()

    def test_a_truncated_script_does_nothing(self, made):
        node = made("true")
        script = scripts.configure(node.node_id, "g1", node.section)
        for end in [*range(0, len(script) - 6, 97), len(script) - 6]:
            subprocess.run(["sh"], input=script[:end], text=True, capture_output=True, timeout=SECONDS, check=False)
            assert not (STATE / node.node_id).exists()

    def test_concurrent_starts_start_one_job(self, manager, made, tmp_path):
        node = made(f"echo >>{tmp_path}/log; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
        script = scripts.configure(node.node_id, node.generation, node.section)
        running = [subprocess.Popen(["sh"], stdin=subprocess.PIPE, text=True) for _ in range(8)]
        for each in running:
            each.stdin.write(script)
            each.stdin.close()
        assert [each.wait(SECONDS) for each in running] == [0] * 8
        (tmp_path / "go").touch()
        assert ended(manager, node).state is ConfigState.READY
        assert (tmp_path / "log").read_text() == "\n"

    def test_leaving_ends_the_job_and_removes_its_files(self, manager, made, tmp_path):
        node = made(f"echo $$ >{tmp_path}/pid; sleep 1000")
        manager.configure(node)
        until(lambda: written(tmp_path / "pid"), "the job has not begun")
        assert manager.leave(node)
        assert not (STATE / node.node_id).exists()
        until(lambda: gone(tmp_path / "pid"), "the command is still running")

    def test_leaving_is_repeated_until_the_job_has_ended(self, manager, made):
        node = made("true")
        assert configured(manager, node).state is ConfigState.READY
        gate = STATE / node.node_id / "gate"
        with subprocess.Popen(
            ["flock", gate, "sh", "-c", "echo held; exec sleep 1000"], stdout=subprocess.PIPE
        ) as holding:
            holding.stdout.readline()
            assert not manager.leave(node)
            subprocess.run(["pkill", "-P", str(holding.pid)], check=True)  # release the lock
        assert manager.leave(node)
        assert not (STATE / node.node_id).exists()


class TestFailures:
    def test_a_wrong_key(self, server, keys, made):
        wrong = {"user": "root", "private_key": generate_host_key().private}
        manager, node = SshManager(Connection("ssh", {}, wrong, SECONDS, keys)), made("true")
        message = f"{server.addresses[0]}:{server.port} refused the key of the SSH user 'root'"
        with pytest.raises(TransientError, match=message):  # cloud-init may not have written the key yet
            manager.configure(node)
        status = manager.status([node])[node.node_id]
        assert (status.state, status.reason) == (ConfigState.PENDING, message)

    @pytest.mark.parametrize(
        ("auth", "why"),
        [
            ({}, "no key and no password for the SSH user"),
            ({"user": "root", "private_key": generate_host_key().private}, "refused the key of the SSH user 'root'"),
        ],
    )
    def test_a_folder_that_stays_without_a_login_is_named(self, keys, manager, made, auth, why):
        node = made("true")
        configured(manager, node)
        folder = f"the folder of its job stays on its machine .{STATE / node.node_id}, or "
        with pytest.raises(PermanentError, match=f"{folder}.*: .*{why}"):
            SshManager(Connection("ssh", {}, auth, SECONDS, keys)).leave(node)
        assert manager.leave(node)

    def test_an_unreachable_host_delays_no_other(self, manager, made, refusing):
        away, well = made("true", port=refusing), made("true")
        with pytest.raises(TransientError, match="cannot be reached: Connection refused"):
            manager.configure(away)
        manager.configure(well)
        ended(manager, well)
        found = manager.status([away, well])
        assert found[away.node_id].state is ConfigState.PENDING
        assert found[well.node_id].state is ConfigState.READY
        assert manager.leave(away)
        with pytest.raises(TransientError, match="cannot be reached"):
            manager.cancel([away, well])

    def test_a_changed_host_key(self, server, keys, manager, made):
        node = made("true")
        keys.pin(node.node_id, generate_host_key().public)
        with pytest.raises(
            PermanentError, match="shows another host key than the one pinned for it: ssh-ed25519 SHA256:"
        ):
            manager.configure(node)
        status = manager.status([node])[node.node_id]
        assert status.state is ConfigState.FAILED
        assert "nothing was sent to it" in status.reason

    def test_missing_credentials_are_found_before_anything_is_made(self, made):
        node = dataclasses.replace(made("true"), addresses=())
        with pytest.raises(PermanentError, match="no key and no password"):
            SshManager(Connection("ssh", {}, {})).check(node)

    @pytest.mark.parametrize("file", [{"path": "etc/motd"}, {"path": "/etc/"}, {"path": "/x", "mode": "rw"}])
    def test_invalid_files_are_found_before_anything_is_made(self, manager, made, file):
        with pytest.raises(PermanentError, match=r"config_management\.files: expected"):
            manager.check(made(files=[{"content": "", **file}]))

    def test_no_address_yet(self, manager, made):
        node = dataclasses.replace(made("true"), addresses=())
        assert manager.status([node])[node.node_id].state is ConfigState.UNKNOWN
        assert manager.leave(node)
        manager.cancel([node])

    def test_many_nodes_concurrently(self, server, manager, made):
        nodes = [made("true", address=address) for _, address in zip(range(16), itertools.cycle(server.addresses))]
        for node in nodes:
            manager.configure(node)
        assert {ended(manager, node).state for node in nodes} == {ConfigState.READY}
        assert manager.status(nodes).keys() == {node.node_id for node in nodes}

    def test_through_a_jump_host(self, server, keys, manager, made):
        node = made("true", jump={"host": server.addresses[1], "port": server.port})
        assert configured(manager, node).state is ConfigState.READY
        assert keys.known(node.node_id, f"{server.addresses[1]}:{server.port}") == (server.host_key.public,)

    assert not SshManager.powers({"commands": ["reboot"]})


@pytest.mark.parametrize(
    "section",
    [{"files": [{"path": "motd", "content": ""}]}, {"commands": [{"unless": "x"}]}, {"port": 0}, {"host": "x"}],
)
def test_refusals_of_the_schema(section):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(section, SshManager.schema())
