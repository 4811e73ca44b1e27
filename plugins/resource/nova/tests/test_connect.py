"""Identity and endpoint, from settings and credentials."""

from __future__ import annotations

import json

import pytest
from keystoneauth1.identity import v3

from occopus_core.api import AuthError, Connection, PermanentError
from occopus_resource_nova.connect import account, identity_url

URL = "https://cloud.example.org:5000"
PASSWORD = {"username": "me", "password": "hush"}


def connection(auth, **settings):
    return Connection("nova", {"endpoint": URL, **settings}, auth, 7.0)


@pytest.mark.parametrize("given", ["", "/", "/v3", "/v3/", "/v2.0"])
def test_the_version_is_optional(given):
    assert identity_url(URL + given) == f"{URL}/v3"
    assert identity_url(f"{URL}/identity{given}") == f"{URL}/identity/v3"


@pytest.mark.parametrize("given", ["", "cloud", "ftp://cloud", "http://"])
def test_an_invalid_url_is_an_error(given):
    with pytest.raises(PermanentError, match="must be the URL of the Identity API"):
        identity_url(given)


def test_a_password_needs_a_project():
    made = account(connection(PASSWORD, project_id="p-1", tenant_name="old", user_domain_name="campus")).session
    assert isinstance(made.auth, v3.Password)
    assert (made.auth.auth_url, made.auth.project_id, made.auth.project_name) == (f"{URL}/v3", "p-1", None)
    assert made.auth.auth_methods[0].user_domain_name == "campus"
    assert made.timeout == 7.0


def test_a_tenant_is_a_project_name():
    auth = account(connection(PASSWORD, tenant_name="research")).session.auth
    assert (auth.project_id, auth.project_name, auth.project_domain_name) == (None, "research", "Default")


def test_an_application_credential_needs_no_project():
    auth = account(connection({"type": "application_credential", "id": "i", "secret": "s"})).session.auth
    assert isinstance(auth, v3.ApplicationCredential)


@pytest.mark.parametrize("kind", [{}, {"type": "application_credential"}, {"type": "v3applicationcredential"}])
def test_an_application_credential_with_older_names(kind):
    named = {"application_credential_id": "i", "application_credential_secret": "s"}
    auth = account(connection({**kind, **named})).session.auth
    assert isinstance(auth, v3.ApplicationCredential)
    method = auth.auth_methods[0]
    assert (method.application_credential_id, method.application_credential_secret) == ("i", "s")


@pytest.mark.parametrize(
    ("settings", "auth", "domain"),
    [
        ({"domain_name": "campus"}, {}, "campus"),
        ({"user_domain_name": "new", "domain_name": "old"}, {}, "new"),
        ({}, {"domain_name": "campus"}, "campus"),
        ({}, {}, "Default"),
    ],
)
def test_the_domain_with_its_older_name(settings, auth, domain):
    made = account(connection({**PASSWORD, **auth}, project_id="p-1", **settings)).session.auth
    assert made.auth_methods[0].user_domain_name == domain


@pytest.mark.parametrize(
    ("auth", "kind", "message"),
    [
        ({"type": "voms", "proxy": "x"}, AuthError, "no longer supports VOMS proxies; use an application_credential"),
        ({"proxy": "x"}, AuthError, "no longer supports VOMS proxies; use an application_credential"),
        ({"type": "openid"}, AuthError, "OpenID providers are not supported"),
        ({"application_credential_id": "i"}, AuthError, "have no 'secret'"),
        ({"type": "application_credential", "id": "i"}, AuthError, "have no 'secret'"),
        ({"username": "me"}, AuthError, "have no 'password'"),
        ({"type": "magic"}, AuthError, "'magic'"),
        (PASSWORD, PermanentError, "resource.project_id is needed"),
    ],
)
def test_missing_values_are_named(auth, kind, message):
    settings = {} if auth == PASSWORD else {"project_id": "p"}
    with pytest.raises(kind, match=message):
        account(connection(auth, **settings))


@pytest.fixture
def clouds(tmp_path, monkeypatch):
    """Writes clouds.yaml to the place where it is looked up."""
    monkeypatch.delenv("OS_CLOUD", raising=False)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))

    def write(**clouds):
        (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": clouds}))

    return write


def cloud(url, **more):
    auth = {"auth_url": url, "username": "me", "password": "hush", "project_name": "p", **more}
    return {"auth": {**auth, "user_domain_name": "Default", "project_domain_name": "Default"}}


# openstacksdk raises it in any configuration.
@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
class TestCloudsYaml:
    def test_the_cloud_at_the_endpoint_is_found(self, clouds):
        clouds(here=cloud(f"{URL}/v3/"), there=cloud("https://elsewhere/v3"))
        auth = account(connection({}, project_id="p-1")).session.auth
        assert (auth.auth_url.rstrip("/"), auth._project_id) == (f"{URL}/v3", "p-1")

    def test_other_settings_of_the_cloud_apply(self, clouds):
        clouds(here=cloud(f"{URL}/v3") | {"region_name": "north", "interface": "internal", "cacert": "/ca.pem"})
        found = account(connection({}))
        assert (found.region, found.interface, found.session.verify) == ("north", "internal", "/ca.pem")
        assert account(connection({}, region_name="south")).region == "south"

    def test_the_environment_selects_one_of_several(self, clouds, monkeypatch):
        clouds(one=cloud(URL, username="first"), two=cloud(URL, username="second"))
        with pytest.raises(AuthError, match="set OS_CLOUD to one of one, two"):
            account(connection({}))
        monkeypatch.setenv("OS_CLOUD", "two")
        assert account(connection({})).session.auth._username == "second"

    def test_credentials_are_not_sent_elsewhere(self, clouds, monkeypatch):
        clouds(there=cloud("https://elsewhere/v3"))
        monkeypatch.setenv("OS_CLOUD", "there")
        with pytest.raises(AuthError, match=r"the cloud 'there' of clouds.yaml \(OS_CLOUD\) is not at this URL"):
            account(connection({}))

    def test_missing_credentials_are_an_error(self, clouds):
        clouds()
        with pytest.raises(AuthError, match="there are no auth_data for"):
            account(connection({}))
