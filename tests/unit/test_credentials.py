"""Credentials are found by their selectors and never shown."""

import pytest

from occopus_core.credentials import Credentials
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.redaction import Redactor

TEXT = """\
resource:
  - type: ec2
    regionname: eu
    auth_data: {accesskey: AKIA-in-eu, secretkey: secret-of-eu}
  - type: ec2
    regionname: us
    auth_data: {accesskey: AKIA-in-us, secretkey: secret-of-us}
  - type: nova
    auth_data: {username: demo-user, password: "demo password/1"}
  - type: nova
    name: special
    auth_data: {type: application_credential, id: an-id, secret: very-special}
config_management:
  - type: chef
    endpoint: https://chef
    auth_data: {client_name: occopus, client_key: !text_import {url: file://key.pem}}
"""
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA1234567890\nabc\n-----END RSA PRIVATE KEY-----\n"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".occopus").mkdir(parents=True)
    return tmp_path / "home" / ".occopus"


@pytest.fixture
def file(tmp_path):
    for name, text in (("auth.yaml", TEXT), ("key.pem", KEY)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path / "auth.yaml"


@pytest.fixture
def credentials(file):
    return Credentials.load(str(file), {})


def test_no_file_is_fine():
    credentials = Credentials.load(None, {})
    assert credentials.find("resource", {"type": "ec2"}) == {}
    assert credentials.secrets() == frozenset()
    assert credentials.warnings == ()


def test_the_order_in_which_files_are_looked_for(home, file, tmp_path):
    (tmp_path / "other.yaml").write_text("resource: []\n")
    (home / "auth_data.yaml").write_text("health_check:\n- {type: a, auth_data: {b: c}}\n")
    environ = {"OCCOPUS_AUTH_DATA_PATH": str(tmp_path / "other.yaml")}
    assert "config_management" in Credentials.load(str(file), environ).entries
    assert list(Credentials.load(None, environ).entries) == ["resource"]
    assert Credentials.load(None, {}).find("health_check", {"type": "a"}) == {"b": "c"}


@pytest.mark.parametrize("arguments", [("none.yaml", {}), (None, {"OCCOPUS_AUTH_DATA_PATH": "none.yaml"})])
def test_a_file_that_is_asked_for_must_be_there(arguments):
    with pytest.raises(DescriptionError, match=r"none\.yaml: there is no such file"):
        Credentials.load(*arguments)


def test_find(credentials):
    section = {"type": "ec2", "regionname": "us", "endpoint": "https://ec2"}
    assert credentials.find("resource", section) == {"accesskey": "AKIA-in-us", "secretkey": "secret-of-us"}
    assert credentials.find("resource", {"type": "ec2"}) == {}
    assert credentials.find("config_management", section) == {}
    assert credentials.find("config_management", {"type": "chef", "endpoint": "https://chef"})["client_key"] == KEY
    assert credentials.find("resource", {"type": "nova"})["username"] == "demo-user"


def test_two_entries_that_apply(credentials, file):
    with pytest.raises(DescriptionError) as raised:
        credentials.find("resource", {"type": "nova", "name": "special"})
    assert str(raised.value) == (
        f"{file}:10:5: resource: the entries at {file}:8:5 and {file}:10:5 all apply to type 'nova' name 'special': "
        "add keys so that only one does"
    )


def test_nothing_shows_a_value(credentials):
    found = credentials.find("resource", {"type": "nova"})
    assert repr(found) == str(found) == f"{found}" == "AuthData(username=***, password=***)"
    assert "demo" not in repr(credentials)
    assert not hasattr(found, "__dict__")


def test_the_name_of_an_ssh_user_is_shown(tmp_path):
    file = tmp_path / "auth_data.yaml"
    file.write_text("config_management: [{type: ssh, auth_data: {user: root, password: tell-nobody}}]\n")
    file.chmod(0o600)
    redact = Redactor(Credentials.load(str(file)).secrets())
    assert redact("root at /root with tell-nobody") == "root at /root with ***"


def test_secrets_are_proofs_and_not_names(credentials):
    secrets = credentials.secrets()
    assert {"secret-of-eu", "secret-of-us", "demo password/1", "very-special", KEY} <= secrets
    assert secrets.isdisjoint({"demo-user", "an-id", "occopus", "application_credential"})


def test_readable_by_others(file):
    assert Credentials.load(str(file), {}).warnings == ()
    key = file.with_name("key.pem")
    for path in (file, key):
        path.chmod(0o640)
    assert Credentials.load(str(file), {}).warnings == tuple(
        f"{path}: other users can read this file, which contains secrets: chmod 600 {path}" for path in (file, key)
    )
    file.chmod(0o604)
    assert len(Credentials.load(str(file), {}).warnings) == 2


def write(file, secret, name="auth.yaml"):
    """Replace the file, as editors do."""
    new = file.with_name("new")
    new.write_text(f"resource:\n- {{type: ec2, auth_data: {{accesskey: AKIA, secretkey: {secret}}}}}\n")
    new.replace(file.with_name(name))


def test_a_rewritten_file_is_read_again(file):
    credentials = Credentials.load(str(file), {})
    assert credentials.renewed() is credentials
    redact = Redactor(credentials.secrets())
    assert redact("secret-of-us and secret-of-later") == "*** and secret-of-later"
    write(file, "secret-of-later")
    later = credentials.renewed()
    assert later.find("resource", {"type": "ec2"})["secretkey"] == "secret-of-later"
    assert redact("secret-of-us and secret-of-later") == "*** and ***", "also what was made before hides it"
    assert later.renewed() is later


def test_a_rewritten_imported_file_is_read_again(file, tmp_path):
    credentials = Credentials.load(str(file), {})
    (tmp_path / "key.pem").write_text(KEY.replace("A", "B"))
    found = credentials.renewed().find("config_management", {"type": "chef", "endpoint": "https://chef"})
    assert found["client_key"] == KEY.replace("A", "B")


def test_a_file_that_cannot_be_read_changes_nothing_until_it_can(file):
    credentials = Credentials.load(str(file), {})
    for text in ("resource: [", "resource:\n- {auth_data: {a: b}}\n"):
        file.write_text(text)
        kept = credentials.renewed()
        assert kept.entries == credentials.entries
        assert kept.renewed() is kept, "it is not read over and over"
    file.unlink()
    kept = kept.renewed()
    assert kept.entries == credentials.entries
    write(file, "secret-of-later")
    assert kept.renewed().find("resource", {"type": "ec2"})["secretkey"] == "secret-of-later"


def test_a_file_that_comes_later_is_found(home):
    credentials = Credentials.load(None, {})
    write(home / "auth_data.yaml", "secret-of-later", "auth_data.yaml")
    assert credentials.renewed().find("resource", {"type": "ec2"})["secretkey"] == "secret-of-later"


FORMER = """\
pre_authentication:
- type: openid
  auth_data: &token
    url:
    refresh_token:
x-note: {any: thing}
resource:
- type: ec2
  auth_data: {accesskey: AKIA, secretkey: 0123}
- type: cloudsigma
  auth_data:
    email:
    password:
- type: nova
  project_id: 0042
  auth_data:
    username:
    password: 12345
    identity_provider: *token
"""


def test_unused_entries_are_ignored(tmp_path):
    file = tmp_path / "auth.yaml"
    file.write_text(FORMER)
    file.chmod(0o600)
    found = Credentials.load(str(file), {})
    assert found.warnings == (f"{file}: these sections are not used and were ignored: pre_authentication",)
    assert dict(found.find("resource", {"type": "ec2"})) == {"accesskey": "AKIA", "secretkey": "0123"}
    with pytest.raises(DescriptionError) as raised:
        found.find("resource", {"type": "cloudsigma"})
    assert str(raised.value) == f"{file}:12:5: resource[1].auth_data: this is empty"
    with pytest.raises(DescriptionError, match=r"auth.yaml:[0-9:]+: .*identity_provider: this is a mapping, not text"):
        found.find("resource", {"type": "nova", "project_id": "0042"})
    assert dict(found.find("resource", {"type": "nova", "project_id": "42"})) == {}


def test_the_origin_of_credentials_is_their_entry_or_why_none_applies(tmp_path):
    file = tmp_path / "auth.yaml"
    file.write_text(
        "resource:\n"
        "- {type: ec2, regionname: eu-west-2, auth_data: {accesskey: a, secretkey: b}}\n"
        "- {type: nova, password: hush-hush, auth_data: {username: a, password: b}}\n"
        "- {type: nova, name: mine, auth_data: {username: a, password: b}}\n"
        "- {type: nova, endpoint: 'http://me:hush@a', auth_data: {username: a, password: b}}\n"
    )
    credentials = Credentials.load(str(file), {})

    def origin(**section):
        return credentials.origin("resource", section)

    assert origin(type="ec2", regionname="eu-west-2") == f"the credentials are those at {file}:2:3"
    assert origin(type="ec2", regionname="eu-west-1") == (
        f"the file {file} has 1 entry of type ec2, which does not apply: regionname eu-west-2 is not eu-west-1"
    )
    assert origin(type="nova", password="another", endpoint="http://b") == (
        f"the file {file} has 3 entries of type nova, of which none applies: "
        "password is another one; the section has no name; endpoint is another one"
    )
    assert origin(type="docker") == Credentials().origin("resource", {"type": "ec2"}) == ""
