"""Real playbooks on a real sshd: their input, results and leftovers."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import psutil
import pytest

from occopus_config_ansible import Ansible, syntax
from occopus_config_ansible.folders import InfraFolder
from occopus_config_ansible.manager import MOST_JOBS
from occopus_config_ansible.processes import MARKER, end_all, sockets_of
from occopus_core.api import Address, ConfigNode, ConfigState, Connection, Peer, PermanentError, TransientError
from occopus_core.api.ssh import HostKeyError, MemoryHostKeys, generate_host_key
from occopus_core.testing.sshd import SshServer, silent_port

SECONDS = 600.0
REPORT = """\
- hosts: web:db
  gather_facts: false
  tasks:
    - name: note the run
      shell: echo $PPID >> {{ folder }}/runs-{{ inventory_hostname }}
    - copy:
        dest: "{{ folder }}/{{ inventory_hostname }}"
        content: "{{ {'vars': vars_of, 'peers': peers, 'groups': groups, 'host': ansible_host} | to_json }}"
      vars:
        vars_of: {db: "{{ db }}", colour: "{{ colour }}", occopus: "{{ occopus }}"}
        peers: "{{ groups['web'] | map('extract', hostvars, 'ansible_host') | sort }}"
    - name: publish
      set_stats:
        data: {port: 8080, own: "{{ inventory_hostname }}"}
"""
TASKS = "- hosts: all\n  gather_facts: false\n  tasks:\n"
WAIT = """\
- hosts: all
  gather_facts: false
  tasks:
    - shell: echo run >> {{ folder }}/runs-{{ inventory_hostname }}
    - name: wait for the release
      wait_for: {path: "{{ folder }}/release", timeout: 300}
"""
BEGINS = """\
import os, pickle, signal, sys
from occopus_config_ansible import Ansible
from occopus_core.api import Connection
from occopus_core.api.ssh import MemoryHostKeys
given = pickle.load(sys.stdin.buffer)
manager = Ansible(Connection("ansible", given["settings"], given["auth"], 60.0, MemoryHostKeys()))
manager.register(given["node"])
manager.configure(given["node"])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def account(sshd, tmp_path):
    account = Account(sshd, tmp_path)
    yield account
    (tmp_path / "release").touch()
    account.end()


class Account:
    """A root folder, and nodes on the sshd of the tests."""

    def __init__(self, sshd, folder):
        self.sshd, self.folder, self.root = sshd, folder, folder / "root"
        self.host_keys = MemoryHostKeys()
        self.infra_id = f"i-{uuid.uuid4().hex[:8]}"
        self.addresses = iter(sshd.addresses)
        self.jobs = set()

    def manager(self, call_timeout=60.0, **auth):
        auth = {**self.sshd.auth, **auth}
        return Ansible(Connection("ansible", {"root": str(self.root)}, auth, call_timeout, self.host_keys))

    def node(self, playbook, name="web", address=None, mapped=None, attributes=None, generation="g-1", **section):
        address = Address(address or next(self.addresses))
        node_id = str(uuid.uuid4())
        extra = {"folder": str(self.folder), **section.pop("extra_vars", {})}
        section = {"playbook": playbook, "port": self.sshd.port, "extra_vars": extra, **section}
        return ConfigNode(
            "here", self.infra_id, "shop", name, node_id, f"t-{node_id}", section, attributes or {}, mapped or {},
            generation=generation, addresses=(address,), peers=(Peer(name, node_id, (address,)),),
        )  # fmt: skip

    def begin(self, *nodes, manager=None):
        """Configure these nodes concurrently, as the core does."""
        manager = manager or self.manager()
        peers = tuple(peer for node in nodes for peer in node.peers)
        nodes = [dataclasses.replace(node, peers=peers) for node in nodes]
        for node in nodes:
            manager.register(node)
        threads = [threading.Thread(target=manager.configure, args=(node,)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return nodes

    def begin_together(self, *nodes):
        """The same, with a worker that starts only after all of them are ordered."""
        self.infra.path.mkdir(parents=True, mode=0o700)
        lock = self.infra.take_lock()
        try:
            nodes = self.begin(*nodes)
        finally:
            os.close(lock)
        self.manager().configure(nodes[0])
        return nodes

    def ended(self, *nodes):
        """The statuses of these nodes, after all of them are ready or have failed."""
        return self.await_(
            lambda: self.statuses(*nodes),
            lambda found: all(each.state in (ConfigState.READY, ConfigState.FAILED) for each in found),
        )

    def statuses(self, *nodes):
        found = self.manager().status(nodes)
        return [found[node.node_id] for node in nodes]

    def await_(self, look, enough):
        deadline = time.monotonic() + SECONDS
        while not enough(found := look()):
            assert time.monotonic() < deadline, f"{found}\n{self.log()}"
            time.sleep(0.05)
        return found

    def runs(self, node):
        file = self.folder / f"runs-{node.node_id}"
        return file.read_text().splitlines() if file.exists() else []

    def log(self):
        log = self.root / self.infra_id / "worker.log"
        return log.read_text() if log.exists() else ""

    @property
    def infra(self):
        return InfraFolder(self.root / self.infra_id)

    def worker(self):
        """The process that holds the lock."""
        (found,) = [
            process
            for process in psutil.process_iter(["cmdline"])
            if str(self.infra.path) in (process.info["cmdline"] or ()) and "-c" in process.info["cmdline"]
        ]
        return found

    def processes(self):
        """The processes of Ansible's runs, including shared SSH connections."""
        return [
            process.pid
            for process in psutil.process_iter(["environ", "cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE
            and (
                (process.info["environ"] or {}).get(MARKER, "").startswith(str(self.root))
                or " ".join(process.info["cmdline"] or ()).startswith(tuple(self.connections))
            )
        ]

    @property
    def connections(self):
        """The titles of the shared SSH connections, for all jobs seen so far."""
        self.jobs |= {folder.name for folder in self.infra.all_jobs()}
        return [f"ssh: {sockets_of(job)}/" for job in self.jobs]

    def end(self):
        manager = self.manager()
        for found in manager.list_registered("here"):
            manager.forget(dataclasses.replace(self.node("x", address="127.0.0.1"), node_id=found.node_id))
        self.await_(self.infra.is_locked, lambda locked: not locked)
        self.await_(self.processes, lambda found: not found)
        manager.forget_infrastructure(self.infra_id)
        assert list(self.root.glob("*")) == []


def test_nodes_that_share_a_playbook_are_one_run(account):
    nodes = [account.node(REPORT, attributes={"colour": "{{ red }}"}, mapped={"db.port": 5432}) for _ in range(3)]
    nodes.append(account.node(REPORT, "db", attributes={"colour": "blue"}, mapped={"db": "itself"}, groups=["stores"]))
    nodes = account.begin_together(*nodes)
    for node, status in zip(nodes, account.ended(*nodes), strict=True):
        assert status.state is ConfigState.READY, status
        assert status.generation == "g-1"
        assert status.attributes == {"port": 8080, "own": node.node_id}
        report = json.loads((account.folder / node.node_id).read_text())
        assert report["host"] == node.addresses[0].value
        assert report["peers"] == sorted(each.addresses[0].value for each in nodes[:3])
        assert set(report["groups"]["web"]) == {each.node_id for each in nodes[:3]}
        assert report["groups"]["db"] == report["groups"]["stores"] == [nodes[3].node_id]
        assert report["vars"]["occopus"]["infra_id"] == account.infra_id
        assert len(account.runs(node)) == 1
    assert len({account.infra.node(node.node_id).status()["job"] for node in nodes}) == 1
    of_web = json.loads((account.folder / nodes[0].node_id).read_text())
    assert of_web["vars"]["db"] == {"port": 5432}
    assert of_web["vars"]["colour"] == "{{ red }}", "a value from a node is no template of Ansible's"
    account.await_(account.processes, lambda found: not found)


def test_progress_is_the_current_task(account):
    (node,) = account.begin(account.node(WAIT))
    (status,) = account.await_(
        lambda: account.statuses(node), lambda found: found[0].progress == "wait for the release"
    )
    assert status.state is ConfigState.RUNNING
    (account.folder / "release").touch()
    assert account.ended(node)[0].state is ConfigState.READY


FAILURES = {
    "message": (
        '- {name: look, fail: {msg: "the disk of {{ colour }} is full: {{ api_token }}"}}',
        "task 'look': the disk of red is full: [secret]",
    ),
    "command": (
        "- {name: ask, shell: echo it burns >&2; exit 3}",
        "task 'ask': it burns (exit code 3)",
    ),
    "no_log": (
        "- {name: hide, shell: echo abc; exit 3, no_log: true}",
        "task 'hide': it failed, and its output is",
    ),
    "module": (
        "- {name: odd, include_tasks: /no/such/tasks.yml}",
        "task 'odd': Could not find or access '/no/such/tasks.yml'",
    ),
    "variable": ("- {name: what, debug: {msg: '{{ nothing }}'}}", "task 'what': "),
}


@pytest.mark.parametrize(("task", "reason"), FAILURES.values(), ids=FAILURES)
def test_the_message_of_the_failed_task_is_the_reason(account, task, reason):
    variables = {"colour": "red", "api_token": "0xDEADBEEF"}
    (node,) = account.begin(account.node(TASKS + f"    {task}\n", extra_vars=variables))
    (status,) = account.ended(node)
    assert status.state is ConfigState.FAILED
    assert status.reason.startswith(reason), status.reason
    assert "0xDEADBEEF" not in status.reason
    assert "\n" not in status.reason


PRINTS = {
    "command": ("shell: 'seq 100; echo {{ api_token }} >&2; exit 3'", [*map(str, range(62, 101)), "[secret]"]),
    "message": ('fail: {msg: "one\\n\\ntwo {{ api_token }}\\n"}', ["one", "two [secret]"]),
    "one line": ("fail: {msg: of one line}", []),
    "loop": ("shell: 'echo at {{ item }}; exit {{ item }}', loop: [0, 7, 8]", ["at 7"]),
    "no_log": ("shell: echo abc; exit 3, no_log: true", []),
}


@pytest.mark.parametrize(("task", "lines"), PRINTS.values(), ids=PRINTS)
def test_the_output_of_the_failed_task_is_kept(account, task, lines):
    playbook = f"{TASKS}    - shell: echo before\n    - {{{task}}}\n"
    (node,) = account.begin(account.node(playbook, extra_vars={"api_token": "0xDEADBEEF"}))
    (status,) = account.ended(node)
    assert status.state is ConfigState.FAILED
    assert status.output.splitlines() == lines


def test_a_missing_module_of_a_collection(account):
    """Only the run can find it: the collections of `requirements` are installed with the run."""
    folder = account.folder / "collection"
    folder.mkdir()
    (folder / "galaxy.yml").write_text(
        "{namespace: acme, name: tools, version: 1.0.0, readme: README.md, authors: [me]}\n"
    )
    (folder / "README.md").write_text("tools")
    needs = {"collections": [{"name": str(folder), "type": "dir"}]}
    (node,) = account.begin(account.node(TASKS + "    - acme.tools.mend:\n", requirements=needs))
    (status,) = account.ended(node)
    assert status.state is ConfigState.FAILED
    assert status.reason.startswith("Ansible refuses the playbook: line 4, column 7: couldn't resolve module/action")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (TASKS + "    - no_such_module: {}\n", r"line 4, column 7: couldn't resolve module/action 'no_such_module'"),
        ("- hosts: all\n  roles: [nginx]\n", r"line 2, column 11: the role 'nginx' was not found"),
        (TASKS + "    - import_tasks: '{{ api_token }}.yml'\n", r"Unable to retrieve .*/\[secret\]\.yml"),
    ],
)
def test_errors_found_by_ansible_are_reported_before_the_instance_is_made(account, text, fault):
    node = account.node(text, extra_vars={"api_token": "0xDEADBEEF"})
    manager = account.manager(call_timeout=SECONDS)
    for _ in range(2):
        with pytest.raises(PermanentError, match=f"^config_management.playbook: {fault}") as refused:
            manager.register(node)
        assert "0xDEADBEEF" not in str(refused.value)
    assert manager.status([node])[node.node_id].state is ConfigState.UNKNOWN


def test_the_syntax_of_a_shared_playbook_is_checked_once(account):
    node = account.node(TASKS + "    - ping:\n", extra_vars={"about": str(account.folder)})
    nodes = [dataclasses.replace(node, node_id=str(uuid.uuid4())) for _ in range(20)]
    manager = account.manager(call_timeout=SECONDS)
    with mock.patch.object(syntax.subprocess, "run", wraps=syntax.subprocess.run) as asked:
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(manager.register, nodes))
        assert asked.call_count == 1
    assert {status.state for status in manager.status(nodes).values()} == {ConfigState.PENDING}


def test_a_slow_syntax_check_delays_nothing(account):
    node = account.node(TASKS + "    - no_such_module: {}\n")
    manager = account.manager(call_timeout=0.01)
    manager.register(node)
    assert manager.status([node])[node.node_id].state is ConfigState.PENDING
    with pytest.raises(PermanentError, match="no_such_module"):  # checked again, and not considered valid
        account.manager(call_timeout=SECONDS).register(node)


def test_a_node_without_a_run_yet_is_queued(account):
    """Each has its own variables, so each needs its own run."""
    nodes = account.begin(*(account.node(WAIT, extra_vars={"number": number}) for number in range(MOST_JOBS + 1)))
    found = account.await_(
        lambda: account.statuses(*nodes), lambda found: ConfigState.QUEUED in [one.state for one in found]
    )
    (queued,) = [one for one in found if one.state is ConfigState.QUEUED]
    assert queued.reason == f"{MOST_JOBS} runs of Ansible are under way for its infrastructure"
    assert queued.generation == "g-1"
    (account.folder / "release").touch()
    assert {one.state for one in account.ended(*nodes)} == {ConfigState.READY}


def test_a_failing_node_does_not_stop_the_others(account):
    text = TASKS + "    - {fail: {msg: mine}, when: broken is defined}\n    - ping:\n"
    nodes = account.begin(account.node(text), account.node(text, attributes={"broken": "yes"}))
    assert [status.state for status in account.ended(*nodes)] == [ConfigState.READY, ConfigState.FAILED]
    (account.folder / "again").touch()
    nodes = account.begin(*nodes)  # failed ones are repeated, ready ones are left alone
    assert [status.reason for status in account.ended(*nodes)] == ["", "task 'fail': mine"]


def test_a_status_of_an_older_worker_has_no_output(account):
    (node,) = account.begin(account.node(TASKS + "    - fail: {msg: no}\n"))
    account.ended(node)
    folder = account.infra.node(node.node_id)
    folder.write_status({key: value for key, value in folder.status().items() if key != "output"})
    assert account.statuses(node)[0].output == ""


def test_a_rescued_failure_is_no_failure(account):
    text = TASKS + "    - {block: [{fail: {msg: x}}], rescue: [{ping: }]}\n"
    (node,) = account.begin(account.node(text))
    assert account.ended(node)[0].state is ConfigState.READY


def test_a_playbook_for_other_hosts_configures_nothing(account):
    (node,) = account.begin(account.node("- hosts: db\n  gather_facts: false\n  tasks:\n    - ping:\n"))
    (status,) = account.ended(node)
    assert status.state is ConfigState.FAILED
    assert status.reason.startswith("the playbook has no play for it: its `hosts` select neither")


def test_a_refused_key(account):
    manager = account.manager(private_key=generate_host_key().private)
    (node,) = account.begin(account.node(WAIT), manager=manager)
    (status,) = account.ended(node)
    assert status.state is ConfigState.FAILED
    assert "it refused the SSH login (publickey)" in status.reason


def test_a_host_key_that_has_changed(account):
    node = account.node(WAIT)
    account.host_keys.pin(node.node_id, generate_host_key().public)
    manager = account.manager()
    manager.register(node)
    with pytest.raises(HostKeyError):
        manager.configure(node)
    assert manager.status([node])[node.node_id].state is ConfigState.PENDING


@pytest.fixture
def jump(sshd):
    """Another SSH server that accepts the same key."""
    server = SshServer(("127.0.12.1",))
    server.user_key = sshd.user_key
    with server:
        yield server


def through(server, **more):
    return {"jump": {"host": server.addresses[0], "port": server.port, **more}}


def test_through_a_jump_host(account, jump):
    (node,) = account.begin(account.node(TASKS + "    - ping:\n", **through(jump)))
    before = jump.log().count("Accepted publickey for root")  # to get the host key of the node without Ansible
    assert before == 1
    (status,) = account.ended(node)
    assert status.state is ConfigState.READY, status
    assert jump.log().count("Accepted publickey for root") > before
    assert account.host_keys.known(node.node_id, f"127.0.12.1:{jump.port}") == (jump.host_key.public,)
    account.await_(account.processes, lambda processes: not processes)


def test_a_jump_host_with_a_changed_key(account, jump):
    node = account.node(TASKS + "    - ping:\n", **through(jump, host_key=generate_host_key().public))
    manager = account.manager()
    manager.register(node)
    with pytest.raises(HostKeyError, match=rf"127\.0\.12\.1:{jump.port} shows another host key"):
        manager.configure(node)


def test_an_unreachable_jump_host(account, jump):
    node = account.node(TASKS + "    - ping:\n", **through(jump))
    jump.stop()
    manager = account.manager()
    manager.register(node)
    with pytest.raises(TransientError, match=rf"127\.0\.12\.1:{jump.port} cannot be reached"):
        manager.configure(node)


def test_a_silent_host(account):
    with silent_port() as port:
        node = account.node(WAIT, address="127.0.0.1", port=port)
        manager = account.manager(call_timeout=1.0)
        manager.register(node)
        with pytest.raises(TransientError, match=rf"127\.0\.0\.1:{port} did not answer as an SSH server within 1 s"):
            manager.configure(node)


def test_a_host_without_a_listener(account):
    node = account.node(WAIT, address="127.0.0.1", port=1)
    manager = account.manager()
    manager.register(node)
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1"):
        manager.configure(node)


def test_cancelling_one_node_restarts_the_run_of_the_others(account):
    one, other = account.begin(account.node(WAIT), account.node(WAIT))
    account.await_(lambda: [*account.runs(one), *account.runs(other)], lambda runs: len(runs) == 2)
    account.manager().cancel([one])
    assert account.statuses(one)[0].state is ConfigState.PENDING
    account.await_(lambda: account.runs(other), lambda runs: len(runs) == 2)  # the run is started again without it
    (account.folder / "release").touch()
    assert account.ended(other)[0].state is ConfigState.READY
    assert len(account.runs(one)) == 1


def test_a_run_outlives_the_process_that_started_it(account):
    """Another process follows the run, and starts no other."""
    node = account.node(WAIT)
    given = {"settings": {"root": str(account.root)}, "auth": account.sshd.auth, "node": node}
    ended = subprocess.run([sys.executable, "-c", BEGINS], check=False, input=pickle.dumps(given))
    assert ended.returncode == -signal.SIGKILL
    account.await_(lambda: account.runs(node), len)
    manager = account.manager()
    assert manager.status([node])[node.node_id].state is ConfigState.RUNNING
    manager.configure(node)
    (account.folder / "release").touch()
    assert account.ended(node)[0].state is ConfigState.READY
    assert len(account.runs(node)) == 1


def test_processes_of_a_killed_worker_are_ended_before_the_next_run(account):
    (node,) = account.begin(account.node(WAIT))
    account.await_(lambda: account.runs(node), len)
    account.worker().kill()
    (status,) = account.await_(lambda: account.statuses(node), lambda found: found[0].state is ConfigState.PENDING)
    assert status.reason == "the run of Ansible was lost with its process"
    orphans = account.processes()
    connections = [process for process in psutil.process_iter(["cmdline"])
                   if " ".join(process.info["cmdline"] or ()).startswith(tuple(account.connections))]  # fmt: skip
    assert {process.pid for process in connections} < set(orphans)
    assert connections
    (left,) = account.infra.all_jobs()
    account.manager().configure(node)
    account.await_(lambda: account.runs(node), lambda runs: len(runs) == 2)
    assert set(orphans).isdisjoint(account.processes())
    assert not left.exists(), "it has a private key in it"
    assert not sockets_of(left.name).exists()
    (account.folder / "release").touch()
    assert account.ended(node)[0].state is ConfigState.READY


def test_forgetting_ends_the_run(account):
    (node,) = account.begin(account.node(WAIT))
    account.await_(lambda: account.runs(node), len)
    account.manager().forget(node)
    account.await_(account.processes, lambda processes: not processes)
    assert account.statuses(node)[0].state is ConfigState.UNKNOWN


def test_a_status_written_while_its_node_is_removed_leaves_nothing(tmp_path, monkeypatch):
    infra, rmdir = InfraFolder(tmp_path / "infrastructure"), os.rmdir
    infra.node("n").register({"installation": "here"})

    def late(*arguments, **keywords):
        infra.node("n").write_status({"state": "failed"})
        rmdir(*arguments, **keywords)

    monkeypatch.setattr(os, "rmdir", late)
    infra.node("n").remove()
    assert infra.all_nodes() == []
    assert list(infra.path.iterdir()) == [infra.nodes]


def test_a_killed_removal_is_finished_by_the_next(tmp_path, monkeypatch):
    infra = InfraFolder(tmp_path / "infrastructure")
    infra.node("n").register({"installation": "here"})
    infra.node("n").write_status({"state": "failed"})
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        infra.node("n").remove()
    infra.node("n").remove()
    assert list(infra.path.iterdir()) == [infra.nodes]


def test_secrets_are_in_private_files_and_only_during_the_run(account):
    (node,) = account.begin(account.node(WAIT))
    account.await_(lambda: account.runs(node), len)
    found = {}
    for file in account.root.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # Ansible's own temporary files appear and disappear
            if file.is_file() and file.name != "lock":
                found[file] = (file.read_text(errors="replace"), file.stat().st_mode)
    assert any("PRIVATE KEY" in text for text, _ in found.values())
    # Ansible itself gives the files of its cache of facts, which it writes after the first task, another mode.
    assert [file for file, (_, mode) in found.items() if mode & 0o077 and file.parent.name != "fact_cache"] == []
    assert account.root.stat().st_mode & 0o077 == 0
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not any("PRIVATE KEY" in line for line in lines)
    (account.folder / "release").touch()
    account.ended(node)
    account.await_(account.infra.is_locked, lambda locked: not locked)
    left = [file for file in account.root.rglob("*") if file.is_file()]
    assert not any("PRIVATE KEY" in file.read_text(errors="replace") for file in left)


def test_roles_of_a_folder_and_of_an_archive(account, tmp_path):
    for place, name in ((tmp_path / "roles", "near"), (tmp_path / "build", "packed")):
        tasks = place / name / "tasks"
        tasks.mkdir(parents=True)
        (tasks / "main.yml").write_text(f"- set_stats: {{data: {{{name}: done}}, per_host: true}}\n")
        (place / name / "meta").mkdir()
        (place / name / "meta" / "main.yml").write_text(
            "galaxy_info: {author: me, description: x, license: none, min_ansible_version: '2.17'}\ndependencies: []\n"
        )
    archive = tmp_path / "packed.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(tmp_path / "build" / "packed", "packed")
    playbook = tmp_path / "site.yml"
    playbook.write_text("- hosts: all\n  gather_facts: false\n  roles: [near, packed]\n")
    needs = {"roles": [{"name": "packed", "src": f"file://{archive}"}]}
    (node,) = account.begin(account.node(str(playbook), roles_path=str(tmp_path / "roles"), requirements=needs))
    (status,) = account.ended(node)
    assert status.state is ConfigState.READY, status
    assert status.attributes == {"near": "done", "packed": "done"}


def test_requirements_are_downloaded_if_allowed(account, galaxy, monkeypatch):
    """A collection of a Galaxy with its dependencies, one by its URL, and a role by its URL."""
    for name, needs in (("base", ()), ("tools", ("base",)), ("more", ())):
        galaxy.collection(name, needs)
    roles = "[acme.tools.mark, acme.base.mark, acme.more.mark, packed]"
    with galaxy.serve() as url:
        monkeypatch.setenv("ANSIBLE_GALAXY_SERVER", url)  # instead of the public one
        needs = {
            "roles": [{"name": "packed", "src": f"{url}/{galaxy.role('packed')}"}],
            "collections": [
                {"name": "acme.tools"},
                {"name": f"{url}/acme-more-1.0.0.tar.gz", "type": "url"},
            ],
        }
        playbook = f"- hosts: all\n  gather_facts: false\n  roles: {roles}\n"
        node = account.node(playbook, requirements=needs)
        with pytest.raises(PermanentError, match="would be downloaded: add `allow_downloads: true`"):
            account.manager().check(node)
        assert galaxy.asked == []
        leave = {**node.section, "allow_downloads": True}
        (node,) = account.begin(dataclasses.replace(node, section=leave))
        (status,) = account.ended(node)
        assert status.state is ConfigState.READY, status
        assert status.attributes == dict.fromkeys(("base", "tools", "more", "packed"), "done")
        assert "/download/acme-base-1.0.0.tar.gz" in galaxy.asked


def test_an_unreachable_galaxy(account):
    needs = {"collections": [{"name": "acme.tools", "source": "http://127.0.0.1:1"}]}
    (node,) = account.begin(account.node(WAIT, requirements=needs, allow_downloads=True))
    (status,) = account.ended(node)
    assert status.state is ConfigState.FAILED
    assert "ansible-galaxy could not install the collections of `requirements`: " in status.reason
    assert "\n" not in status.reason


def test_a_missing_archive(account):
    needs = {"collections": ["/no/such/acme-tools-1.0.0.tar.gz"]}
    (node,) = account.begin(account.node(WAIT, requirements=needs))
    (status,) = account.ended(node)
    assert status.state is ConfigState.FAILED
    assert "ansible-galaxy could not install the collections of `requirements`: " in status.reason


def test_an_encrypted_key(account):
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    key = serialization.load_ssh_private_key(account.sshd.user_key.private.encode(), None)
    form = serialization.BestAvailableEncryption(b"open sesame")
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, form).decode()
    (account.folder / "release").touch()
    (node,) = account.begin(account.node(WAIT), manager=account.manager(private_key=text, passphrase="open sesame"))
    assert account.ended(node)[0].state is ConfigState.READY


def test_no_order_is_lost_when_a_worker_ends(account):
    """Consecutive orders, each written while the previous order's worker is about to end."""
    (account.folder / "release").touch()
    quick = TASKS + "    - {debug: {msg: x}}\n"
    for number, address in zip(range(4), itertools.cycle(account.sshd.addresses), strict=False):
        (node,) = account.begin(account.node(quick, address=address, extra_vars={"number": number}))
        assert account.ended(node)[0].state is ConfigState.READY


def test_only_the_processes_of_a_job_are_ended(tmp_path):
    def sleeper(job):
        words = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
        process = subprocess.Popen(words, env={**os.environ, MARKER: str(tmp_path / job)}, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    with sleeper("a/jobs/1") as one, sleeper("b/jobs/1") as other:
        try:
            end_all(str(tmp_path / "a"))
            one.wait(SECONDS)  # `end_all` has waited too, and may have its exit code
            assert other.poll() is None
        finally:
            other.kill()
            one.kill()


def test_an_unreadable_file_in_the_root(account):
    node = account.node(WAIT)
    manager = account.manager()
    manager.register(node)
    Path(account.root / account.infra_id / "nodes" / node.node_id / "node.json").write_text("{")
    with pytest.raises(TransientError, match=r"the folder \S+ of Ansible cannot be used"):
        manager.status([node])
    manager.forget(node)
