"""The script of docs/ssh.md that puts files and starts a job, run by a shell of this machine."""

from __future__ import annotations

import re
import subprocess
import time
import types

import pytest

from tests.unit.testing.documented import DOCS

SECONDS = 60.0


@pytest.fixture(scope="module")
def scripts():
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "ssh.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    made = types.ModuleType("documented_job")
    exec(next(block for block in blocks if "\ndef start(" in block), made.__dict__)
    return made


@pytest.fixture
def node(tmp_path, scripts):
    return Node(tmp_path, scripts)


class Node:
    """A host with a folder for a node's job."""

    def __init__(self, path, scripts):
        self.path, self.folder, self.scripts = path, path / "of a node", scripts
        self.named = str(self.folder)
        """The folder as the scripts are given it."""

    def configure(self, generation, command="true", files=()):
        files = {str(self.path / name): content for name, content in dict(files).items()}
        done = self.run(self.scripts.start(self.named, generation, files, command))
        assert (done.stdout, done.stderr) == ("", "")
        return done.returncode

    def ask(self, script):
        done = self.run(self.scripts.other(script, self.named))
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    def run(self, script):
        return subprocess.run(
            ["sh"], input=script, cwd=self.path, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def read(self, name):
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    def runs(self):
        return subprocess.run(["flock", "-n", self.folder / "lock", "true"], check=False).returncode != 0

    def until(self, done):
        ends = time.monotonic() + SECONDS
        while not done():
            assert time.monotonic() < ends, (self.read("output"), self.read("code"))
            time.sleep(0.01)

    def ended(self):
        self.until(lambda: self.read("code") and not self.runs())
        return self.read("generation").strip(), self.read("code").strip(), self.read("output")


def test_files_are_put_before_the_command_whatever_is_in_them(node):
    content = 'it\'s "$HOME" `id` \\ \u00e4\nEND\n'
    command = f"cat '{node.path}/it is $a'; echo 'a  \"b\"' \"$((6 * 7))\""
    assert node.configure("g1", command, {"it is $a": content}) == 0
    assert node.ended() == ("g1", "0", f'{content}a  "b" 42\n')
    assert (node.path / "it is $a").stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in node.path.iterdir()) == ["it is $a", "of a node"]


def test_what_may_be_secret_is_readable_by_its_owner_alone_and_what_the_command_makes_is_not(node):
    made = node.path / "made"
    assert node.configure("g1", f"touch {made}; echo said", {"file": "x"}) == 0
    node.ended()
    assert not (node.folder / "job").exists()
    private = [node.folder, *node.folder.iterdir(), node.path / "file"]
    assert [file for file in private if file.stat().st_mode & 0o077] == []
    assert made.stat().st_mode & 0o777 == 0o644


def test_the_exit_code_is_that_of_the_command_and_a_file_that_cannot_be_put_ends_the_job(node):
    assert node.configure("g1", "echo no; exit 3") == 0
    assert node.ended() == ("g1", "3", "no\n")
    assert node.configure("g2", "echo ran", {"no/such/folder": "x"}) == 0
    generation, code, output = node.ended()
    assert (generation, code) == ("g2", "1")
    assert "ran" not in output, "the output of an earlier job, or a command after a file that failed"


def test_a_repeat_leaves_the_job_alone_running_or_done(node):
    count, gate = node.path / "count", node.path / "gate"
    command = f"echo begun >>{count}; while [ ! -e {gate} ]; do sleep 0.01; done"
    assert node.configure("g1", command) == 0
    node.until(count.exists)
    assert node.configure("g1", command) == 0
    gate.touch()
    assert node.ended()[:2] == ("g1", "0")
    assert node.configure("g1", command) == 0
    assert not node.runs()
    assert count.read_text() == "begun\n"


def test_a_job_of_an_older_generation_is_ended(node):
    assert node.configure("g1", "sleep 100000") == 0
    node.until(lambda: node.read("pid"))
    assert node.configure("g2") == 0
    assert node.ended()[:2] == ("g2", "0")


def test_a_job_that_failed_is_begun_again(node):
    for _ in range(2):
        assert node.configure("g1", f"echo begun >>{node.path}/count; false") == 0
        node.ended()
    assert (node.path / "count").read_text() == "begun\nbegun\n"


def test_the_status_of_a_job(node, scripts):
    assert node.ask(scripts.STATUS) == (0, ["unknown"])
    assert (
        node.configure("g1", f"echo first; echo 'it is on'; while [ ! -e {node.path}/gate ]; do sleep 0.01; done") == 0
    )
    node.until(lambda: "it is on" in node.read("output"))
    assert node.ask(scripts.STATUS) == (0, ["running", "g1", "none", "it is on"])
    (node.path / "gate").touch()
    node.ended()
    assert node.ask(scripts.STATUS) == (0, ["idle", "g1", "0", "it is on"])


def test_cancelling_ends_the_job_with_what_it_started_and_leaving_removes_all(node, scripts):
    assert node.ask(scripts.CANCEL) == node.ask(scripts.LEAVE) == (0, [])
    for script in (scripts.CANCEL, scripts.LEAVE):
        assert node.configure("g1", "echo begun; sleep 100000 & sleep 100000") == 0
        node.until(lambda: "begun" in node.read("output"))
        group = int(node.read("pid"))
        assert node.ask(script) == (0, [])
        node.until(lambda group=group: not members(group))
        if script == scripts.CANCEL:
            assert node.ask(scripts.STATUS) == (0, ["idle", "g1", "none", "begun"])
    assert not node.folder.exists()


@pytest.mark.parametrize("named", ["of a node", "./of a node"])
def test_a_relative_folder_is_removed_as_well(node, scripts, named):
    node.named = named
    assert node.configure("g1", "echo begun; pwd; sleep 100000") == 0
    node.until(lambda: "\n/" in node.read("output"))
    assert node.read("output").splitlines()[1] == str(node.folder), "the job runs in the folder of the node"
    beside = node.path / "beside"
    beside.mkdir()
    assert node.ask(scripts.LEAVE) == (0, [])
    assert list(node.path.iterdir()) == [beside]
    assert node.ask(scripts.LEAVE) == (0, [])
    assert node.ask(scripts.STATUS) == (0, ["unknown"])


def test_a_folder_is_kept_where_its_job_does_not_end(node, scripts):
    assert node.configure("g1", "sleep 100000") == 0
    node.until(lambda: node.read("pid"))
    group = node.read("pid")
    (node.folder / "pid").write_text("nonsense")
    assert node.run(scripts.other(scripts.LEAVE, node.named)).returncode != 0
    assert node.runs()
    assert (node.folder / "generation").exists()
    (node.folder / "pid").write_text(group)
    assert node.ask(scripts.LEAVE) == (0, [])


def members(group):
    """The processes of a process group that have not ended."""
    found = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if line.split()[0] == str(group) and "Z" not in line.split()[1]]
