"""Messages of ``occopus-ssh`` before it connects to anything."""

from __future__ import annotations

import contextlib
import dataclasses
from types import SimpleNamespace

import pytest

from occopus_core.api.resource import Address
from occopus_core.cli import ssh
from occopus_core.cli.exits import ExitCode
from occopus_core.descriptions.model import HealthCheck, Implementation
from occopus_core.store.records import InstanceRecord, Stage
from occopus_core.testing.memory import MemoryHandler


def test_the_usage_has_the_command(capsys):
    with pytest.raises(SystemExit):
        ssh.main(["--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    assert usage.startswith("usage: occopus-ssh ")
    assert usage.endswith("[NODE] [-- COMMAND]")
    with pytest.raises(SystemExit):
        ssh.main(["-i", "infra-1", "--all"])
    assert "add -- COMMAND" in capsys.readouterr().err


@pytest.fixture
def db(store):
    """Adds an instance of `db`, with a health check `ssh`."""

    def add(address="10.0.0.2"):
        made_by = Implementation({"type": "memory"}, health_check=HealthCheck({"ssh": {"user": "admin"}}))
        instance = InstanceRecord(
            *("id-2", "infra-1", "db", 1, "occopus-id-2", made_by.digest, "{}", "fingerprint", Stage.READY, 2.0, 1.0),
            addresses=(Address(address),),
        )
        with store.changing(store.acquire("infra-1", "test", 1e9)) as change:
            change.add_implementations([made_by])
            change.add_instances([instance])

    return add


@pytest.fixture
def sessions(monkeypatch):
    """Commands end with the exit code that a test sets here, by address; no host is connected."""
    codes = {}

    @contextlib.contextmanager
    def connect(target, _keys):
        def run(command, timeout):
            assert (command, timeout) == ("true", 60.0)
            return SimpleNamespace(output=f"{target.login.user}\n", errors="", exit_code=codes[target.address])

        yield SimpleNamespace(run=run)

    monkeypatch.setattr("occopus_core.api.ssh.connect", connect)
    return codes


@pytest.mark.parametrize("more", [["--all", "db"], ["db"]])
def test_the_instance_without_credentials_is_named(db, command, more):
    db()
    code, _, complaint = command(ssh, "-i", "infra-1", *more, "--", "true")
    assert code == ExitCode.FAILED
    (line,) = complaint.splitlines()
    assert line.startswith("error: db/id-2: no key and no password for the SSH user 'admin': add `private_key` or ")


UNDESCRIBED = (
    "web/id-1: its node definition describes no SSH login: enter it with the tools of its provider, which knows it as "
    "'made-1', or read its output: occopus-logs -i infra-1 id-1; for SSH, add `config_management` of a type that logs "
    "in, or `ssh` in `health_check`, or give --identity and --user"
)


@pytest.fixture
def web(store):
    """The provider's id of `web` is recorded."""
    with store.changing(store.acquire("infra-1", "test", 1e6)) as change:
        (instance,) = store.instances("infra-1")
        change.put_instances([dataclasses.replace(instance, instance_id="made-1")])


@pytest.mark.parametrize(
    ("more", "word"), [(["--all"], "skipped"), (["web"], "error"), ([], "error"), (["-l", "admin"], "error")]
)
def test_an_instance_without_a_described_login(web, command, more, word):
    code, out, complaint = command(ssh, "-i", "shop", *more, "--", "true")
    assert (code, out, complaint) == (ExitCode.BAD_INPUT, "", f"{word}: {UNDESCRIBED}\n")


@pytest.fixture
def way_in(monkeypatch):
    """Sets how the handler answers; the resource type `memory` is installed."""

    class Handler(MemoryHandler):
        pass

    monkeypatch.setattr("occopus_core.registry.Registry.resource", lambda _registry, _name: Handler)

    def answer(found):
        monkeypatch.setattr(Handler, "way_in", classmethod(lambda _cls, settings, id: found(settings, id)))

    return answer


def test_the_way_in_that_its_handler_knows_is_named(web, way_in, command):
    way_in(lambda settings, id: f"enter {settings} {id}")
    code, _, complaint = command(ssh, "-i", "shop", "web")
    known = "with the tools of its provider, which knows it as 'made-1'"
    assert (code, complaint) == (2, f"error: {UNDESCRIBED}\n".replace(known, "with `enter {} made-1`"))


@pytest.mark.parametrize("found", [lambda *_: "", lambda *_: None, lambda *_: 1 / 0])
def test_a_handler_that_names_no_way_in_changes_nothing(web, way_in, command, found):
    way_in(found)
    assert command(ssh, "-i", "shop", "web") == (2, "", f"error: {UNDESCRIBED}\n")


@pytest.mark.parametrize(("ended", "code"), [(0, ExitCode.OK), (3, ExitCode.FAILED)])
def test_all_skips_it_and_goes_on(web, db, sessions, command, home, ended, code):
    db()
    sessions["10.0.0.2"] = ended
    auth = home / "auth.yaml"
    auth.write_text("health_check: [{type: ssh, auth_data: {password: something}}]\n")
    auth.chmod(0o600)
    found, out, complaint = command(ssh, "-i", "shop", "--auth_data_path", str(auth), "--all", "--", "true")
    said = [f"skipped: {UNDESCRIBED}", *(["error: db/id-2: ended with exit code 3"] if ended else [])]
    assert (found, out, complaint.splitlines()) == (code, "db/id-2: admin\n", said)


def test_a_given_key_is_tried_on_every_instance(web, db, sessions, command, home):
    db()
    sessions.update({"10.0.0.1": 0, "10.0.0.2": 0})
    (home / "key").write_text("a key")
    words = ("-i", "shop", "--identity", "key", "--user", "me", "--all", "--", "true")
    code, out, complaint = command(ssh, *words)
    assert (code, sorted(out.splitlines()), complaint) == (0, ["db/id-2: me", "web/id-1: me"], "")
