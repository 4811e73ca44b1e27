"""The scripts of the stages for a context; unsupported values are refused by name."""

import base64
import getpass
import json

import pytest

from occopus_core.api import Context, PermanentError
from occopus_resource_local.program import program


def cloud(text):
    return program(Context(user_data=f"#cloud-config\n{text}"))


def files(text):
    return json.loads(cloud(text)["write_files"].splitlines()[1])


def test_commands_become_one_script_each_in_the_order_of_cloud_init():
    stages = cloud("runcmd: ['cd /tmp', [echo, 'a  b', 1]]\nbootcmd: [date]\nwrite_files: [{path: x}]\n")
    assert list(stages) == ["bootcmd", "write_files", "runcmd"]
    assert stages["bootcmd"].splitlines()[1:] == ["_occopus_at 0 date && :", "date"]
    assert stages["runcmd"].splitlines()[2::2] == ["cd /tmp", "echo 'a  b' 1"]


@pytest.mark.parametrize("text", ["", "runcmd:\n", "bootcmd: []\nwrite_files: []\n"])
def test_nothing_to_do_gives_no_stage(text):
    assert cloud(text) == {}


def test_a_file_has_content_permissions_and_append():
    assert files("write_files: [{path: a, content: 'é', permissions: '0755', append: true}]") == [
        {"path": "a", "content": base64.b64encode("é".encode()).decode(), "permissions": 0o755, "append": True}
    ]
    assert files("write_files: [{path: a}]")[0]["permissions"] == 0o644
    assert files("write_files: [{path: a, permissions: 0600}]")[0]["permissions"] == 0o600


@pytest.mark.parametrize("encoding", ["b64", "base64"])
def test_base64_content_is_passed_on(encoding):
    (file,) = files(f"write_files: [{{path: a, encoding: {encoding}, content: 'aGVs\n bG8='}}]")
    assert base64.b64decode(file["content"]) == b"hello"


def test_content_cannot_end_the_here_document():
    script = cloud("write_files:\n- path: a\n  content: |\n    x\n    END\n    rm -rf /\n")["write_files"]
    assert script.splitlines().index("END") == 2
    assert len(script.splitlines()) == 3


def test_the_current_user_may_own_files():
    assert files(f"write_files: [{{path: a, owner: {getpass.getuser()}}}]")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("packages: [nginx]", "'packages'"),
        ("users: []\nruncmd: [date]", "'users'"),
        ("write_files: [{path: a, defer: true}]", "'defer' of write_files[0]"),
        ("write_files: [{path: a, owner: nobody-here}]", "`owner` of write_files[0]"),
        ("write_files: [{path: a, owner: 0}]", "`owner` of write_files[0] must be a text: USER or USER:GROUP"),
        ("write_files: [{path: a, owner: 'a:b:c'}]", "`owner` of write_files[0] must be a text"),
        ("write_files: [{path: a, owner: nobody-here}, {path: b, content: 5}]", "`content` of write_files[1]"),
        ("write_files: [{path: a, encoding: gz+b64, content: ''}]", "`encoding` of write_files[0]"),
        ("write_files: [{path: a, encoding: b64, content: '*'}]", "not valid base64"),
        ("write_files: [{path: a, permissions: rwx}]", "`permissions` of write_files[0]"),
        ("write_files: [{path: a, content: 5}]", "`content` of write_files[0]"),
        ("write_files: [{content: a}]", "write_files[0] of the cloud-config needs a `path`"),
        ("write_files: [a]", "write_files[0] of the cloud-config must be a mapping"),
        ("write_files: {path: a}", "`write_files` of the cloud-config must be a list"),
        ("runcmd: [date, {echo a: b}]", "runcmd[1]"),
        ("runcmd: [[]]", "runcmd[0]"),
        ("runcmd: date", "`runcmd` of the cloud-config must be a list"),
        ("- a", "must be a mapping"),
        ("runcmd: [", "not valid YAML at line 3"),
        ("runcmd: ['\x07']", "not valid YAML"),
    ],
)
def test_unsupported_values_are_named(text, named):
    with pytest.raises(PermanentError) as refusal:
        cloud(text + "\n")
    assert named in str(refusal.value)


def test_all_unsupported_values_are_named_at_once():
    with pytest.raises(PermanentError) as refusal:
        cloud("packages: [a]\nusers: [b]\nruncmd: [date, {echo: a}, []]\nbootcmd: date\n")
    found = [refusal.value, *refusal.value.more]
    assert [one.at.removeprefix("contextualisation.context_template.") for one in found] == [
        *("packages", "users", "bootcmd", "runcmd[1]", "runcmd[2]"),
    ]


@pytest.mark.parametrize("user_data", ["#!/bin/sh\necho topsecret", "", "topsecret: 1", "## template: jinja\n"])
def test_other_user_data_is_refused_and_not_shown(user_data):
    with pytest.raises(PermanentError, match="#cloud-config") as refusal:
        program(Context(user_data=user_data))
    assert "topsecret" not in str(refusal.value)


def test_a_yaml_error_does_not_show_the_text():
    with pytest.raises(PermanentError) as refusal:
        cloud("runcmd: [echo *topsecret]\nwrite_files: *topsecret\n")
    assert "topsecret" not in str(refusal.value)


def test_a_command_is_split_as_a_shell_would_and_its_environment_quoted():
    context = Context(env=("GREETING=it's me", "EMPTY="), command="sh -c 'echo \"$GREETING\"'")
    assert program(context) == {
        "command": "export GREETING='it'\"'\"'s me'\nexport EMPTY=''\nexec sh -c 'echo \"$GREETING\"'\n"
    }
    assert program(Context(command=("echo", "a b"))) == {"command": "exec echo 'a b'\n"}


def test_no_command_gives_no_stage():
    assert program(Context()) == program(Context(command=())) == {}


@pytest.mark.parametrize(
    ("context", "named"),
    [
        (Context(command="echo 'topsecret"), "contextualisation.command: a quotation in it is not closed"),
        (Context(env=("a.b=topsecret",)), "'a.b'"),
        (Context(env=("A",)), "NAME=value"),
    ],
)
def test_a_command_that_cannot_run_is_refused(context, named):
    with pytest.raises(PermanentError) as refusal:
        program(context)
    assert named in str(refusal.value)
    assert "topsecret" not in str(refusal.value)


def test_a_misspelt_key_gets_a_suggestion():
    with pytest.raises(PermanentError) as raised:
        cloud("run_cmd: [date]\n")
    assert raised.value.message.endswith("and runcmd: did you mean 'runcmd'?")
    assert raised.value.at == "contextualisation.context_template.run_cmd"
