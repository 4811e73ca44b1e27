"""Where configuration and credentials are searched, and which files are not trusted."""

import os

import pytest

from occopus_core import locations
from occopus_core.credentials import Credentials
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.settings import Settings


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """A home, a working directory and a folder of the system, all of them empty."""
    for name in ("home/.occopus", "work", "etc"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(locations, "_SHARED", ("./", f"{tmp_path}/etc/"))
    return tmp_path


def write(path, port):
    path.write_text(f"components: {{rest: {{port: {port}}}}}\n")
    path.chmod(0o644)
    return path


def test_the_order(folders):
    assert Settings.load(environ={}).rest_port == 5000
    write(folders / "etc/occopus_config.yaml", 1003)
    assert Settings.load(environ={}).rest_port == 1003
    write(folders / "work/occopus_config.yaml", 1002)
    assert Settings.load(environ={}).rest_port == 1002
    write(folders / "home/.occopus/occopus_config.yaml", 1001)
    assert Settings.load(environ={}).rest_port == 1001


def test_credentials_are_searched_in_the_same_places(folders):
    file = folders / "work/auth_data.yaml"
    file.write_text("resource: [{type: ec2, auth_data: {accesskey: a, secretkey: b}}]\n")
    file.chmod(0o600)
    assert dict(Credentials.load(environ={}).find("resource", {"type": "ec2"})) == {"accesskey": "a", "secretkey": "b"}


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "reason"),
    [
        (0o646, 0o755, r"others may write it \(chmod o-w\)"),
        (0o644, 0o757, r"others may write the folder \./ \(chmod o-w\)"),
    ],
)
def test_what_others_may_write_is_refused(folders, file_mode, folder_mode, reason):
    file = write(folders / "work/occopus_config.yaml", 1002)
    file.chmod(file_mode)
    (folders / "work").chmod(folder_mode)
    with pytest.raises(DescriptionError, match=f"this file is not used: {reason}; .*: --cfg ./occopus_config.yaml"):
        Settings.load(environ={})
    assert Settings.load("./occopus_config.yaml", {}).rest_port == 1002


def test_a_folder_in_which_only_owners_replace_files(folders):
    write(folders / "work/occopus_config.yaml", 1002)
    (folders / "work").chmod(0o1777)
    assert Settings.load(environ={}).rest_port == 1002


def test_a_file_of_another_user_is_refused(folders, monkeypatch):
    write(folders / "work/occopus_config.yaml", 1002)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if os.getuid() == 0:
        os.chown(folders / "work/occopus_config.yaml", 4321, -1)
    with pytest.raises(DescriptionError, match="belongs to another user"):
        Settings.load(environ={})


def test_the_group_of_the_file(folders, monkeypatch):
    file = write(folders / "work/occopus_config.yaml", 1002)
    file.chmod(0o664)
    monkeypatch.setattr(locations, "_is_own_group", lambda _gid: False)
    with pytest.raises(DescriptionError, match=r"its group may write it \(chmod g-w\)"):
        Settings.load(environ={})
    monkeypatch.setattr(locations, "_is_own_group", lambda _gid: True)
    assert Settings.load(environ={}).rest_port == 1002
