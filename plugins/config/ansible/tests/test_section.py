"""Sections that are refused before anything is made."""

from __future__ import annotations

import os

import pytest

from occopus_config_ansible import Ansible
from occopus_core.api import ConfigNode, Connection, PermanentError

PLAYBOOK = "- hosts: all\n  tasks:\n    - ping:\n"


def check(auth=None, **section):
    node = ConfigNode("here", "i-1", "shop", "web", "n-1", "t-1", section={"playbook": PLAYBOOK, **section})
    Ansible(Connection("ansible", {}, auth or {})).check(node)


def test_valid_sections(tmp_path):
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    check(playbook=str(tmp_path / "site.yml"), roles_path=[str(tmp_path)], port="2222", become="yes")
    check(requirements={"roles": [{"name": "web", "src": "file:///srv/web.tar.gz"}], "collections": ["/srv/c.tar.gz"]})
    check(requirements={"roles": ["geerlingguy.nginx"]}, allow_downloads=True)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"playbook": "site.yml"}, r"playbook: expected an absolute path .*, got 'site.yml'"),
        ({"playbook": "/no/such/site.yml"}, r"playbook: /no/such/site.yml: No such file or directory"),
        (
            {"playbook": "- hosts: all\n  tsks: []\n"},
            r"playbook: line 2, column 3: play 1: 'tsks' is not a keyword of a play",
        ),
        ({"roles_path": "/no/such"}, r"roles_path: /no/such is not a folder"),
        ({"port": "ssh"}, r"port: expected a port from 1 to 65535, got 'ssh'"),
        ({"port": 70000}, r"port: expected a port from 1 to 65535, got '70000'"),
        ({"jump": {"host": "bastion"}}, r"jump: Ansible logs in to a jump host with a `private_key` alone"),
        ({"jump": {"host": "-oProxyCommand=x"}}, r"jump\.host: expected a name or an address, got '-oProxyCommand=x'"),
        ({"jump": {"host": "b", "user": "a\n b"}}, r"jump\.user: expected a name or an address, got 'a\\n b'"),
        ({"become": "root"}, r"become: expected true or false, got 'root'"),
        ({"requirements": {"roles": ["geerlingguy.nginx"]}}, r"requirements: 'geerlingguy.nginx' would be downloaded"),
        (
            {"requirements": {"collections": [{"name": "a.b", "source": "https://galaxy.example.com"}]}},
            r"requirements: 'https://galaxy.example.com' would be downloaded",
        ),
        (
            {"requirements": {"roles": [{"src": "git+https://example.com/r.git"}]}, "allow_downloads": "no"},
            r"requirements: 'git\+https://example.com/r.git' would be downloaded: add `allow_downloads: true`",
        ),
    ],
)
def test_an_error_is_one_clear_line(section, words):
    with pytest.raises(PermanentError, match=rf"^config_management\.{words}") as refused:
        check(**section)
    assert "\n" not in str(refused.value)


def test_an_error_in_a_file_is_reported_with_its_place(tmp_path):
    (tmp_path / "site.yml").write_text("- hosts: all\n  tsks: []\n")
    with pytest.raises(PermanentError) as refused:
        check(playbook=str(tmp_path / "site.yml"))
    place = f"config_management.playbook: {tmp_path}/site.yml:2:3: "
    assert str(refused.value) == f"{place}play 1: 'tsks' is not a keyword of a play"


def test_a_playbook_that_is_a_pipe_or_a_folder_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path / "pipe", tmp_path):
        with pytest.raises(PermanentError, match=f"^config_management.playbook: {file}: it is not a file$"):
            check(playbook=str(file))
        assert list(Ansible.faults({"playbook": str(file)})) == []


def test_a_jump_host_with_a_key():
    check(auth={"private_key": "x"}, jump={"host": "bastion.example.org", "port": 2222, "user": "me"})


def test_every_playbook_is_a_power():
    assert Ansible.powers({"playbook": PLAYBOOK})
    assert Ansible.powers({"playbook": "{{ variables.x }}"})
