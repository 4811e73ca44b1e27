"""SSH for plugins, against a real OpenSSH server on the loopback."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time

import pytest

from occopus_core.api import AuthError, PermanentError, TransientError
from occopus_core.api.ssh import (
    HostKeyError,
    MemoryHostKeys,
    SshLogin,
    SshPool,
    SshTarget,
    connect,
    fingerprint,
    generate_host_key,
    host_key,
    known_hosts,
    side_by_side,
)
from occopus_core.testing import sshd

SECONDS = 60.0
"""A generous limit on a busy machine."""


@pytest.fixture(scope="module")
def server():
    if not sshd.installed():
        pytest.skip("OpenSSH is not installed: apt-get install openssh-server")
    with sshd.SshServer(("127.0.0.1", "127.0.61.2")) as server:
        yield server


@pytest.fixture
def keys():
    return MemoryHostKeys()


def target(server, node_id="n", **more):
    return server.target(node_id, **{"connect_timeout": SECONDS, **more})


class TestCommands:
    def test_a_command_says_how_it_ended(self, server, keys):
        with connect(target(server), keys) as session:
            result = session.run("echo out; echo err >&2; exit 7", timeout=SECONDS)
        assert (result.exit_code, result.output, result.errors) == (7, "out\n", "err\n")
        assert result.last_line == "err"

    def test_standard_input_arrives_whole(self, server, keys):
        text = "ünï\n" * 100_000
        with connect(target(server), keys) as session:
            assert session.run("cat", stdin=text, timeout=SECONDS).output == text
            assert session.run("true", stdin=text, timeout=SECONDS).exit_code == 0  # takes none of it

    def test_only_the_end_of_much_output_is_kept(self, server, keys):
        with connect(target(server), keys) as session:
            result = session.run(
                "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero >&2; echo end", timeout=SECONDS
            )
        assert len(result.output) == 1_048_576
        assert result.output.endswith("xend\n")

    def test_commands_run_side_by_side_on_one_connection(self, server, keys):
        with connect(target(server), keys) as session:
            said = side_by_side(lambda n: session.run(f"echo {n}", timeout=SECONDS).output, range(8), at_once=4)
        assert said == [f"{n}\n" for n in range(8)]

    def test_a_command_that_does_not_end_is_given_up(self, server, keys):
        with connect(target(server), keys) as session, pytest.raises(TransientError, match=r"did not end within 0.5 s"):
            session.run("sleep 1000", timeout=0.5)

    def test_a_connection_that_breaks_is_an_error(self, server, keys):
        with connect(target(server), keys) as session:
            with pytest.raises(TransientError, match=r"the connection to .* broke") as caught:
                session.run("kill -9 $PPID; sleep 1000", timeout=SECONDS)
            assert "Traceback" not in str(caught.value)
            assert not session.alive

    def test_a_jump_host_is_passed_through(self, server, keys):
        jump = dataclasses.replace(target(server, ""), address="127.0.61.2")
        with connect(target(server, jump=jump), keys) as session:
            assert session.run("echo hi", timeout=SECONDS).output == "hi\n"
        assert keys.known("n", jump.place) == (server.host_key.public,)
        wrong = dataclasses.replace(jump, host_key=generate_host_key().public)
        with pytest.raises(HostKeyError, match=r"127\.0\.61\.2"):
            connect(target(server, jump=wrong), keys)


class TestHostKeys:
    def test_first_use_pins(self, server, keys):
        assert host_key(target(server), keys) == server.host_key.public
        assert keys.known("n") == (server.host_key.public,)

    def test_another_key_is_refused_before_the_login(self, server, keys):
        other = generate_host_key().public
        keys.pin("n", other)
        before = server.log().count("Accepted") + server.log().count("Failed")
        with pytest.raises(HostKeyError) as caught:
            connect(target(server), keys)
        assert fingerprint(other) in str(caught.value)
        assert fingerprint(server.host_key.public) in str(caught.value)
        assert server.log().count("Accepted") + server.log().count("Failed") == before
        assert keys.known("n") == (other,)

    def test_a_replaced_instance_has_its_own(self, server, keys):
        keys.pin("old", generate_host_key().public)
        connect(target(server, "new"), keys).close()
        assert keys.known("new") == (server.host_key.public,)

    def test_of_keys_that_were_generated_the_one_shown_remains(self, server, keys):
        for key in (generate_host_key().public, server.host_key.public):
            keys.offer("n", key)
        connect(target(server), keys).close()
        assert keys.known("n") == (server.host_key.public,)

    def test_a_key_that_openssh_takes(self, server, keys, tmp_path):
        (tmp_path / "known").write_text(known_hosts("127.0.0.1", server.port, [host_key(target(server), keys)]))
        (tmp_path / "id").touch(mode=0o600)
        (tmp_path / "id").write_text(server.user_key.private)
        options = ["-F", "none", "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "StrictHostKeyChecking=yes"]
        command = ["ssh", *options, "-i", f"{tmp_path}/id", "-p", str(server.port), "root@127.0.0.1", "echo", "hi"]
        assert subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False).stdout == "hi\n"

    def test_the_private_half_is_not_shown(self):
        pair = generate_host_key()
        assert pair.private not in repr(pair)
        assert known_hosts("a", 22, ["k"]) == "a k\n"


class TestFailures:
    def test_a_wrong_key_is_refused(self, server, keys):
        login = SshLogin("root", generate_host_key().private)
        with pytest.raises(AuthError, match=r"127\.0\.0\.1:\d+ refused the key of the SSH user 'root'"):
            connect(target(server, login=login), keys)

    def test_a_password_is_refused_where_none_is_taken(self, server, keys):
        with pytest.raises(AuthError, match="refused the password") as caught:
            connect(target(server, login=SshLogin("root", password="hush-hush")), keys)
        assert "hush" not in f"{caught.value} {caught.value!r}"

    def test_a_key_that_is_none_is_refused(self, server, keys):
        with pytest.raises(PermanentError, match="cannot be read"):
            connect(target(server, login=SshLogin("root", "hush")), keys)

    def test_no_key_and_no_password(self):
        with pytest.raises(PermanentError, match="no key and no password for the SSH user 'admin'"):
            SshLogin.of({}, "admin")

    def test_nothing_listens(self, keys, held_port):
        with pytest.raises(TransientError, match=r"cannot be reached: Connection refused") as caught:
            connect(SshTarget("127.0.0.1", SshLogin("root", password="x"), "n", held_port), keys)
        assert caught.value.unreached

    def test_a_silent_host_is_given_up_in_time(self, keys):
        with sshd.silent_port() as port:
            silent = SshTarget("127.0.0.1", SshLogin("root", password="x"), "n", port, connect_timeout=0.5)
            began = time.monotonic()
            with pytest.raises(TransientError, match=r"did not answer as an SSH server within 0.5 s"):
                connect(silent, keys)
            assert time.monotonic() - began < SECONDS

    def test_an_unknown_name(self, keys):
        with pytest.raises(TransientError, match="cannot be reached"):
            connect(SshTarget("x" * 64 + ".invalid", SshLogin("root", password="x"), "n"), keys)

    def test_nothing_is_printed(self, server):
        code = """
from occopus_core.api import TransientError
from occopus_core.api.ssh import *
import socket, threading
listening = socket.create_server(("127.0.0.1", 0))
def answer():
    connection, _ = listening.accept()
    connection.sendall(b"HTTP/1.1 400 Bad Request\\r\\n\\r\\n" * 100)
    connection.close()
threading.Thread(target=answer, daemon=True).start()
try:
    connect(SshTarget("127.0.0.1", SshLogin("root", password="x"), "n", listening.getsockname()[1]), MemoryHostKeys())
except TransientError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.stderr == ""
        assert "SSH" in done.stdout


class TestPool:
    def test_a_connection_is_used_again(self, server, keys):
        pool = SshPool(keys)
        first, second = (pool.run(target(server), "echo $PPID", timeout=SECONDS).output for _ in range(2))
        assert first == second
        pool.close()
        assert pool.run(target(server), "echo $PPID", timeout=SECONDS).output != first
        pool.close()

    def test_one_that_was_lost_is_made_again(self, server, keys):
        pool = SshPool(keys)
        with pytest.raises(TransientError):
            pool.run(target(server), "kill -9 $PPID; sleep 1000", timeout=SECONDS)
        assert pool.run(target(server), "echo hi", timeout=SECONDS).output == "hi\n"
        pool.close()

    def test_what_is_kept_is_bounded(self, server, keys):
        pool = SshPool(keys, most_idle=2)
        for number in range(4):
            pool.run(target(server, f"n{number}"), "true", timeout=SECONDS)
        assert len(pool._idle) == 2
        pool.close()

    def test_many_at_once_within_a_bound(self):
        lock, now, most = threading.Lock(), [0], [0]
        together = threading.Barrier(3)

        def call(number):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            together.wait(SECONDS)
            with lock:
                now[0] -= 1
            return number

        assert side_by_side(call, range(12), at_once=3) == list(range(12))
        assert most == [3]


def test_paramiko_is_imported_by_connections_alone():
    code = "import sys, occopus_core.api.ssh, occopus_core.cli.entry; print('paramiko' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.stdout == "False\n"
