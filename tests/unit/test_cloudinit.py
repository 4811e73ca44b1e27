"""User data: host keys that are generated with it."""

from __future__ import annotations

import email
import io
import shutil
import subprocess

import paramiko
import pytest
import yaml

from occopus_core.api import PermanentError
from occopus_core.api.ssh import generate_host_key
from occopus_core.contextualisers.cloudinit import CloudInit

CONFIG = {"runcmd": ["echo ü"], "password": "x"}


class Rendering:
    """Leaves texts as they are."""

    def __call__(self, value, at):
        return value

    def host_key(self):
        return generate_host_key()


def made(template, **ssh):
    section = {"type": "cloudinit", "context_template": template, "ssh": {"host_key": "generate", **ssh}}
    return CloudInit().contextualise(section, Rendering())


def parts(user_data):
    message = email.message_from_bytes(user_data.encode())
    return [(part.get_content_type(), part.get_payload(decode=True).decode()) for part in message.get_payload()]


def assert_pair(context, keys):
    private, public = keys["ssh_keys"]["ed25519_private"], keys["ssh_keys"]["ed25519_public"]
    assert public == context.host_key
    assert private not in repr(context)
    parsed = paramiko.Ed25519Key.from_private_key(io.StringIO(private))
    assert f"{parsed.get_name()} {parsed.get_base64()}" == public


def test_a_mapping_gets_the_key():
    context = made(CONFIG)
    assert context.user_data.startswith("#cloud-config\n")
    data = yaml.safe_load(context.user_data)
    assert_pair(context, data)
    assert {key: data[key] for key in CONFIG} == CONFIG


def test_each_instance_has_its_own():
    assert made(CONFIG).host_key != made(CONFIG).host_key


@pytest.mark.parametrize(
    ("text", "kind"), [("#!/bin/sh\necho ü\n", "text/x-shellscript"), ("#cloud-config\na: ü\n", "text/cloud-config")]
)
def test_a_text_goes_beside_the_key(text, kind):
    context = made(text)
    (first, keys), (second, script) = parts(context.user_data)
    assert (first, second) == ("text/cloud-config", kind)
    assert_pair(context, yaml.safe_load(keys))
    assert script.strip() == text.strip()


def test_a_text_that_cannot_go_beside_it_is_refused():
    with pytest.raises(PermanentError, match=r"begins with `#cloud-config` or `#!`"):
        made("## template: jinja\n#cloud-config\n")


def test_a_template_that_writes_the_same_is_refused():
    with pytest.raises(PermanentError, match="`ssh_keys`"):
        made({"ssh_keys": {}})


def test_without_it_nothing_is_added():
    section = {"context_template": CONFIG, "ssh": {}}
    context = CloudInit().contextualise(section, Rendering())
    assert yaml.safe_load(context.user_data) == CONFIG
    assert context.host_key == ""


def test_cloud_init_takes_it(tmp_path):
    if shutil.which("cloud-init") is None:
        pytest.skip("cloud-init is not installed: apt-get install cloud-init")
    file = tmp_path / "user-data"
    file.write_text(made({"runcmd": ["echo"]}).user_data)
    done = subprocess.run(["cloud-init", "schema", "--config-file", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
