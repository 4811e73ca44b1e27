"""A client registers its app for the events of an infrastructure, with the credentials of the service."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from occopus_core.testing.web import answering

pytestmark = pytest.mark.integration

SERVER_KEY = "AAAA-legacy-server-key"
OLD = json.dumps({"type": "fcm", "fcm": {"api_key": SERVER_KEY, "reg_id": "phone"}})


def configure(workspace, url):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"private_key": key.decode(), "private_key_id": "k", "client_email": "e", "token_uri": f"{url}/token"}
    settings = workspace.home / ".occopus"
    settings.mkdir()
    entry = {"type": "fcm", "project_id": "my-project", "endpoint": url}
    (settings / "occopus_config.yaml").write_text(json.dumps({"notify": [entry]}))
    auth_data = settings / "auth_data.yaml"
    auth_data.write_text(
        json.dumps({"notify": [{"type": "fcm", "auth_data": {"service_account": json.dumps(account)}}]})
    )
    auth_data.chmod(0o600)


@pytest.fixture
def messages(ready):
    messages = []

    def answer(path, _headers, body):
        """Answers of Firebase, and of its token service."""
        if path != "/token":
            messages.append(json.loads(body)["message"])
        return 200, {}, json.dumps({"access_token": "x", "expires_in": 3600}).encode()

    with answering(answer) as url:
        configure(ready, url)
        yield messages


def test_an_app_gets_only_events_of_its_infrastructure(messages, ready, serve, until):
    ready.ready("build", "trial.yaml", "-i", "mine", "--parallelize")
    with serve(ready) as (_, client):
        answer = client.post("/infrastructures/mine/notify", OLD)
        assert (answer.status, answer.json) == (200, {"infraid": "mine"})
        other = client.post("/infrastructures/", (ready.folder / "trial.yaml").read_bytes()).json["infraid"]
        client.delete("/infrastructures/mine")
        until(lambda: "infradrop" in [one["data"]["event"] for one in messages])
        assert {one["token"] for one in messages} == {"phone"}
        assert {one["data"]["infra_id"] for one in messages} == {"mine"}
        assert client.post("/infrastructures/mine/notify", OLD).status == 404
        client.delete(f"/infrastructures/{other}")
    assert SERVER_KEY.encode() not in b"".join(one.read_bytes() for one in ready.folder.glob("*") if one.is_file())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "must be an object like"),
        ('{"type": "fcm"}', "must be an object like"),
        ('{"type": "fcm", "fcm": {"api_key": "k"}}', "'reg_id' must be"),
        ('{"type": "fcm", "fcm": {"reg_id": "\\ud800"}}', "'reg_id' must be"),
        (
            '{"type": "webhook", "webhook": {"url": "http://127.0.0.1/"}}',
            "sends only to receivers in the configuration",
        ),
        ('{"type": "pigeon", "pigeon": {}}', "installed are: fcm, webhook"),
        ('{"type": "../x", "../x": {}}', "installed are: fcm, webhook"),
    ],
)
def test_what_cannot_be_done_is_said(noted, body, said):
    answer = noted.post("/infrastructures/mine/notify", body)
    assert answer.status == 422
    assert said in answer.json["detail"]


def test_a_service_that_cannot_tell_anybody_says_so(noted):
    answer = noted.post("/infrastructures/mine/notify", OLD)
    assert answer.status == 409
    assert "no notifier of the type 'fcm'" in answer.json["message"]
    assert SERVER_KEY not in answer.text


@pytest.fixture(scope="module")
def noted(tmp_path_factory, cloud_process, new_workspace, describe, serve):
    """A service without notifiers, and the infrastructure `mine`."""
    cloud_process.reset()
    workspace = new_workspace(tmp_path_factory.mktemp("notify"))
    workspace.ready("import", workspace.write("nodes.yaml", cloud_process.definitions("worker")))
    workspace.ready("build", workspace.write("trial.yaml", describe("web")), "-i", "mine")
    with serve(workspace) as (_, client):
        yield client
