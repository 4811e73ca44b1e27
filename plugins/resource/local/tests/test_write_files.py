"""Files outside a node's folder: those of the host are never touched, those of nodes go with the last of them."""

import pytest

from occopus_core.api import InstanceState


@pytest.fixture
def outside(tmp_path):
    return tmp_path / "outside" / "sub" / "file"


def write(host, path, token="n1", content="text"):
    host.create(host.cloudinit(f"write_files: [{{path: '{path}', content: {content}}}]\n", token))
    return host.ended("write_files", token)


def test_a_file_and_its_new_folders_are_deleted_with_their_node(host, outside):
    assert write(host, outside) == 0
    assert outside.read_text() == "text"
    host.delete("n1")
    assert not outside.parent.parent.exists()


def test_foreign_files_beside_it_stay(host, outside):
    assert write(host, outside) == 0
    (outside.parent / "other").write_text("mine")
    host.delete("n1")
    assert [path.name for path in outside.parent.iterdir()] == ["other"]


def test_a_file_of_the_host_is_never_overwritten(host, outside):
    outside.parent.mkdir(parents=True)
    outside.write_text("precious")
    assert write(host, outside) == 1
    host.until(lambda: host.processes() == [])
    seen = host.look()
    assert seen.state is InstanceState.FAILED
    assert seen.reason == (
        f"write_files could not write {outside}: this host already has a file there, which no local node wrote"
    )
    host.delete("n1")
    assert outside.read_text() == "precious"


def test_a_failed_write_prevents_runcmd(host, outside, tmp_path):
    outside.parent.mkdir(parents=True)
    outside.write_text("precious")
    host.create(host.cloudinit(f"write_files: [{{path: '{outside}'}}]\nruncmd: [touch {tmp_path}/ran]\n"))
    host.until(lambda: host.state() is InstanceState.FAILED and host.processes() == [])
    assert not (tmp_path / "ran").exists()


def test_a_shared_file_is_deleted_with_the_last_node(host, outside):
    assert write(host, outside, "n1", "one") == write(host, outside, "n2", "two") == 0
    assert outside.read_text() == "two"
    host.delete("n2")
    assert outside.read_text() == "two"
    host.delete("n1")
    assert not outside.exists()


def test_concurrent_deletions_leave_no_shared_file(host, outside):
    assert write(host, outside, "n1") == write(host, outside, "n2") == 0
    host.delete("n1", "n2")
    assert not outside.exists()


def test_append_adds_and_repeats_within_one_node(host, outside):
    entries = f"[{{path: '{outside}', content: a}}, {{path: '{outside}', content: b, append: true}}]"
    host.create(host.cloudinit(f"write_files: {entries}\n"))
    assert host.ended("write_files") == 0
    assert outside.read_text() == "ab"


def test_a_relative_path_outside_the_folder_counts_as_outside(host, tmp_path):
    (tmp_path / "precious").write_text("precious")
    assert write(host, "../../../precious") == 1
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_node_cannot_write_into_the_inventory(host):
    assert write(host, "../node.json") == 1
    assert host.folder().record().token == "n1"


def test_a_folder_in_place_of_a_file_is_a_clear_reason(host):
    host.create(host.cloudinit("bootcmd: [mkdir taken]\nwrite_files: [{path: taken}]\n"))
    host.until(lambda: host.state() is InstanceState.FAILED)
    assert host.look().reason == "write_files could not write taken: Is a directory"
