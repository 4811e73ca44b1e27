"""Real nodes: made, looked at, listed and deleted."""

import json
import os
import select
import signal
import socket
from ipaddress import IPv4Network
from pathlib import Path

import jsonschema
import psutil
import pytest

from occopus_core.api import Connection, InstanceState, Owner, PermanentError, QuotaError, TransientError
from occopus_resource_local import LocalHandler
from occopus_resource_local.errors import provider_errors
from occopus_resource_local.folders import Record
from occopus_resource_local.launch import start_supervisor

from .conftest import DEADLINE


def test_a_node_is_ready_with_an_address_that_can_be_bound(host):
    made = host.create(host.request())
    assert made.state is InstanceState.READY
    assert made.owner == Owner("here", "infra", "web", "id-n1")
    assert (made.id, made.token) == ("n1", "n1")
    with socket.create_server((made.addresses[0].value, 0)):
        pass


def test_stages_run_in_order_with_the_environment_of_the_node(host):
    made = host.create(
        host.cloudinit(
            "runcmd:\n"
            "- cat order from-file > result\n"
            "- mkdir -p sub && cd sub\n"
            '- pwd > "$OCCOPUS_NODE_DIR/pwd"\n'
            '- echo "$OCCOPUS_NODE_ADDRESS $OCCOPUS_NODE_ID $OCCOPUS_NODE_NAME $OCCOPUS_INFRA_ID $HOME" > ../env\n'
            "write_files:\n- {path: from-file, content: 'file', permissions: '0640'}\n"
            "bootcmd:\n- test ! -e from-file && echo boot > order\n"
        )
    )
    assert host.ended("runcmd") == 0
    work = host.work()
    assert (work / "result").read_text() == "boot\nfile"
    assert (work / "pwd").read_text() == f"{work}/sub\n"
    assert (work / "env").read_text() == f"{made.addresses[0].value} id-n1 web infra {os.environ['HOME']}\n"
    assert (work / "from-file").stat().st_mode & 0o7777 == 0o640
    assert (host.folder().path.stat().st_mode & 0o7777, host.folder().log.stat().st_mode & 0o7777) == (0o700, 0o700)


def test_a_failed_command_of_runcmd_is_reported_with_its_place_and_exit_status(host):
    host.create(host.cloudinit("runcmd: [echo out, 'echo err secret >&2; false', 'exit 3', 'echo never']\n"))
    assert host.ended("runcmd") == 3
    seen = host.look()
    assert (seen.state, seen.raw_state) == (InstanceState.FAILED, "runcmd 3")
    assert seen.reason == "runcmd[2] (exit …) ended with exit status 3: err secret"
    assert (host.folder().log / "runcmd.log").read_text() == "out\nerr secret\n"


def test_a_failure_is_reported_while_other_processes_still_run(host):
    host.create(host.cloudinit("runcmd: ['sleep 1000 & echo $! > pid', [sh, -c, 'kill -9 $$']]\n"))
    host.ended("runcmd")
    assert host.look().reason.startswith("runcmd[1] (sh …) ended with exit status 137")
    os.kill(int((host.work() / "pid").read_text()), 0)


def test_a_failed_bootcmd_ends_the_node(host):
    host.create(host.cloudinit("bootcmd: [exit 4]\nruncmd: [touch ran]\n"))
    assert host.ended("bootcmd") == 4
    host.until(lambda: host.processes() == [])
    assert (host.state(), host.look().reason) == (InstanceState.FAILED, "bootcmd[0] (exit …) ended with exit status 4")
    assert not (host.work() / "ran").exists()


@pytest.mark.parametrize(
    ("commands", "status", "reason"),
    [
        (["PASSWORD=hush exec false"], 1, "runcmd[0] ended with exit status 1"),
        (["if true; then", "exit 5", "fi"], 5, "runcmd ended with exit status 5"),
        (["cat <<END", "text", "END", "exit 6"], 6, "runcmd ended with exit status 6: text"),
        (["echo 'a", "b'", "exit 7"], 7, "runcmd ended with exit status 7: b"),
        (["true &&", "exit 8"], 8, "runcmd ended with exit status 8"),
        (["case x in", "x) exit 9;;", "esac"], 9, "runcmd ended with exit status 9"),
        (["for n in 1 2; do (exit 3); done", "{ exit 2; }"], 2, "runcmd[1] ended with exit status 2"),
    ],
)
def test_commands_run_unchanged(host, commands, status, reason):
    host.create(host.cloudinit(f"runcmd: {json.dumps(commands)}\n"))
    assert host.ended("runcmd") == status
    assert host.look().reason == reason


def test_a_command_sees_the_exit_status_of_the_previous_one(host):
    commands = ["set -e", "false && true", 'echo "$?" > status', "set +e", "sh -c 'exit 3'", 'echo "$?" >> status']
    host.create(host.cloudinit(f"runcmd: {json.dumps(commands)}\n"))
    assert host.ended("runcmd") == 0
    assert (host.work() / "status").read_text() == "1\n3\n"


def test_the_output_is_that_of_all_stages(host):
    host.create(host.cloudinit("bootcmd: [printf boot]\nruncmd: [echo one, echo two >&2, printf three]\n"))
    assert host.ended("runcmd") == 0
    assert host.handler.logs(["n1", "n2"], 10) == {"n1": "boot\none\ntwo\nthree", "n2": None}
    assert host.handler.logs(["n1"], 2) == {"n1": "two\nthree"}
    assert host.handler.logs(["n1"], 0) == {"n1": ""}


def test_only_the_end_of_a_long_output_is_read(host):
    host.create(host.cloudinit("runcmd: ['seq 100000']\n"))
    assert host.ended("runcmd") == 0
    lines = host.handler.logs(["n1"], 100_000)["n1"].splitlines()
    assert lines[-1] == "100000"
    assert lines == [str(number) for number in range(int(lines[0]), 100_001)]
    assert len(lines) < 50_000


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (r"a\n\033[1;31mError: no\033[0m page.pp\n \n", ": Error: no page.pp"),
        ("", ""),
        ("x" * 400, f": {'x' * 299}…"),
        (r"\377\000 b", ": \N{REPLACEMENT CHARACTER} b"),
    ],
)
def test_the_last_line_of_a_failing_script_is_in_the_reason(host, printed, shown):
    host.create(host.cloudinit(f"runcmd: [\"printf '{printed.replace(chr(92), chr(92) * 2)}'; exit 4\"]\n"))
    assert host.ended("runcmd") == 4
    assert host.look().reason == f"runcmd[0] (printf …) ended with exit status 4{shown}"


def test_background_processes_of_a_script_keep_running(host):
    host.create(host.cloudinit("runcmd: ['sleep 1000 & echo $! > pid']\n"))
    assert host.ended("runcmd") == 0
    os.kill(int((host.work() / "pid").read_text()), 0)
    assert host.state() is InstanceState.READY


def test_children_have_default_signal_actions(host):
    host.create(host.cloudinit("runcmd: ['grep -E \"Sig(Blk|Ign)\" /proc/self/status > signals']\n"))
    assert host.ended("runcmd") == 0
    masks = [int(line.split()[1], 16) for line in (host.work() / "signals").read_text().splitlines()]
    assert [mask & 0x7FFFFFFF for mask in masks] == [0, 0]  # higher bits are the C library's own


@pytest.mark.parametrize(("command", "how"), [("sh -c 'exit 4'", "with exit status 4"), ("true", "with exit status 0")])
def test_the_end_of_the_command_is_the_end_of_the_node(host, command, how):
    host.create(host.request(command=command))
    host.until(lambda: host.state() is InstanceState.STOPPED)
    assert host.look().reason == f"command ended {how}"


def test_a_command_has_its_environment_and_ends_its_background_processes(host):
    host.create(host.request(env=("A=b c",), command=("sh", "-c", 'sleep 1000 & echo "$A" > a')))
    host.until(lambda: host.state() is InstanceState.STOPPED)
    assert (host.work() / "a").read_text() == "b c\n"
    assert host.processes() == []


def test_a_stopped_node_is_not_started_again(host):
    request = host.request(command="sh -c 'echo ran >> ran'")
    host.create(request)
    host.until(lambda: host.state() is InstanceState.STOPPED)
    assert host.handler.create(request).state is InstanceState.STOPPED
    assert (host.work() / "ran").read_text() == "ran\n"


def test_a_second_supervisor_runs_nothing(host):
    host.create(host.request(command="sh -c 'echo ran >> ran'"))
    host.until(lambda: host.state() is InstanceState.STOPPED)
    start_supervisor(host.folder(), host.folder().record(), {"command": "echo again >> ran\n"}, DEADLINE)
    host.until(lambda: host.processes() == [])
    assert (host.work() / "ran").read_text() == "ran\n"


def test_create_with_the_same_token_is_the_same_node(host):
    request = host.cloudinit("runcmd: [echo ran >> ran]\n")
    first = host.create(request)
    assert host.ended("runcmd") == 0
    assert host.create(request).addresses == first.addresses
    assert (host.work() / "ran").read_text() == "ran\n"
    assert len([process for process in host.processes() if "supervisor.py" in " ".join(process.cmdline())]) == 1


def test_the_supervisor_is_small(host):
    host.create(host.request())
    supervisor = host.folder().living_supervisor()
    assert psutil.Process(supervisor).memory_info().rss < 12 * 2**20


def test_list_owned_filters_by_owner(host):
    host.create(host.request("n1", infra="a"))
    host.create(host.request("n2", infra="b"))
    host.create(host.request("n3", installation="elsewhere"))

    def listed(*owner):
        return {instance.token for instance in host.handler.list_owned(Owner(*owner))}

    assert listed("here") == {"n1", "n2"}
    assert listed("here", "b") == {"n2"}
    assert listed("here", None, None, "id-n1") == {"n1"}
    assert listed("elsewhere") == {"n3"}


def test_the_way_in_is_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert LocalHandler.way_in({}, "node-1") == f"cd {tmp_path}/.occopus/local/node-1"
    assert LocalHandler.way_in({"root": "/a b"}, "node-1") == "cd '/a b/node-1'"


def test_a_missing_root_contains_nothing(host):
    assert list(host.handler.list_owned(Owner("here"))) == []
    assert host.look("n9").is_missing
    assert host.handler.delete(["n9"]) == {"n9": None}


@pytest.mark.parametrize("id", ["../root", "addresses", "N1", ""])
def test_ids_without_a_node_are_absent(host, id):
    host.create(host.request())
    assert host.handler.describe([id])[id].state is InstanceState.ABSENT
    assert host.handler.delete([id]) == {id: None}
    assert host.state() is InstanceState.READY


def test_folders_of_users_are_left_alone(host):
    host.create(host.request())
    (host.root / "photos").mkdir()
    (host.root / "photos" / "node.json").write_text("{}")
    assert {instance.token for instance in host.handler.list_owned(Owner("here"))} == {"n1"}
    host.delete("photos")
    (host.root / "photos" / "node.json").unlink()
    (host.root / "photos").rmdir()


def test_create_while_deleting_starts_nothing(host):
    request = host.cloudinit("runcmd: [trap '' TERM; sleep 1000]\n")
    host.create(request)
    host.handler.delete(["n1"])
    assert host.state() is InstanceState.DELETING
    assert host.handler.create(request).state is InstanceState.DELETING


def test_a_deleted_node_can_be_made_again(host):
    request = host.cloudinit("runcmd: [echo ran >> ran]\n")
    host.create(request)
    host.delete("n1")
    assert not host.folder().path.exists()
    host.create(request)
    assert host.ended("runcmd") == 0


def test_a_restart_of_the_host_stops_its_nodes(host):
    request = host.request()
    host.create(request)
    os.kill(host.folder().living_supervisor(), signal.SIGKILL)
    record = host.folder().path / "node.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"boot_id": "an earlier one"}))
    seen = host.look()
    assert (seen.state, seen.reason) == (InstanceState.STOPPED, "this host was restarted since")
    assert not seen.is_missing, "no outage: it is replaced"
    (host.folder().path / "supervisor").unlink()
    assert host.handler.create(request).state is InstanceState.STOPPED


def test_a_damaged_record_is_unknown_and_can_be_deleted(host):
    request = host.request()
    host.create(request)
    (host.folder().path / "node.json").write_text("{")
    assert host.state() is InstanceState.UNKNOWN
    assert [instance.token for instance in host.handler.list_owned(Owner("here"))] == ["n1"]
    with pytest.raises(PermanentError, match=r"node\.json is damaged; delete the node n1"):
        host.handler.create(request)
    host.delete("n1")


def test_two_addresses_are_enough_for_two_nodes_only(host):
    host.handler = LocalHandler(host.handler.connection, network=IPv4Network("127.99.1.0/30"))
    host.create(host.request("n1"))
    host.create(host.request("n2"))
    with pytest.raises(QuotaError):
        host.handler.create(host.request("n3"))
    assert host.state("n3") is InstanceState.PROVISIONING


def test_a_bad_context_is_refused_before_anything_is_made(host):
    with pytest.raises(PermanentError, match="packages"):
        host.handler.check(host.cloudinit("packages: [nginx]\n"))
    with pytest.raises(PermanentError, match="packages"):
        host.handler.create(host.cloudinit("packages: [nginx]\n"))
    assert not host.root.exists()


def test_a_token_that_is_no_valid_folder_name_is_refused(host):
    with pytest.raises(PermanentError, match="cannot name a node"):
        host.handler.create(host.request("../n1"))


def test_a_root_that_is_no_folder_is_a_clear_error(host, tmp_path):
    (tmp_path / "file").write_text("")
    handler = LocalHandler(Connection("local", {"root": str(tmp_path / "file")}, {}))
    with pytest.raises(PermanentError, match=r"creating the node n1: .*file.*`root`"):
        handler.create(host.request())


def test_a_supervisor_that_does_not_start_in_time_is_tried_again(host, monkeypatch):
    connection = Connection("local", {"root": str(host.root)}, {}, call_timeout=0.0)
    request = host.cloudinit("runcmd: [echo ran >> ran]\n")
    with monkeypatch.context() as patched:
        patched.setattr(select, "select", lambda *_: ([], [], []))  # as on a busy machine that starts it slowly
        with pytest.raises(TransientError, match="did not start within 0 s"):
            LocalHandler(connection).create(request)
    host.create(request)
    assert host.ended("runcmd") == 0
    assert (host.work() / "ran").read_text() == "ran\n"


def test_a_full_disk_is_a_quota():
    with pytest.raises(QuotaError, match="make room"), provider_errors("creating"):
        Path("/dev/full").write_text("x")


def test_the_default_root_is_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert LocalHandler(Connection("local", {}, {})).root == tmp_path / ".occopus" / "local"


def test_the_schema_validates_its_keys():
    jsonschema.Draft7Validator.check_schema(LocalHandler.schema())
    jsonschema.validate({"root": "~/x"}, LocalHandler.schema())
    for wrong in ({"root": "x"}, {"endpoint": "x"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, LocalHandler.schema())


def test_record_and_address_contain_nothing_of_the_context(host):
    host.create(host.request(env=("PASSWORD=topsecret",), command="sleep 1000"))
    assert "topsecret" not in (host.folder().path / "node.json").read_text()
    assert "topsecret" not in repr(host.look())
    assert not any("topsecret" in " ".join(process.cmdline()) for process in host.processes())
    assert (host.folder().stages / "command.sh").stat().st_mode & 0o7777 == 0o600
    assert isinstance(host.folder().record(), Record)


def test_every_node_is_a_power():
    assert LocalHandler.powers({}) == ("it runs programs of the server",)
