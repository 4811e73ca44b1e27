"""Firebase Cloud Messaging with a server that checks tokens and messages as Google does."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import subprocess
import sys
import time

import jsonschema
import pytest

from occopus_core.api import AuthError, Connection, Notification, PermanentError, ThrottledError, TransientError
from occopus_core.registry import Registry
from occopus_notify_fcm import FirebaseCloudMessaging
from occopus_notify_fcm.testing import EMAIL, refusal

DEVICE = "device-token-9f8e7d"
READY = Notification(7, "shop", "node ready", "nodecreated", "2026-01-31T12:00:00.000+00:00", "web", "n-1", "ünd")
HEALING = Notification(8, "shop", "healing", "", "2026-01-31T12:00:01.000+00:00")
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


@pytest.fixture
def connect(google, account):
    def make(timeout=60.0, auth=None, **settings):
        auth = {"service_account": json.dumps(account)} if auth is None else auth
        target = settings or {"token": DEVICE}
        given = {"project_id": "my-project", "endpoint": google.url, **target}
        return FirebaseCloudMessaging(Connection("fcm", given, auth, call_timeout=timeout))

    return make


class TestMessage:
    def test_a_message_to_a_device(self, google, connect):
        connect().send([READY])
        assert google.messages == [
            (
                "/v1/projects/my-project/messages:send",
                {
                    "message": {
                        "token": DEVICE,
                        "data": {
                            "id": "7",
                            "event": "nodecreated",
                            "infra_id": "shop",
                            "node_id": "n-1",
                            "node_name": "web",
                            "at": "2026-01-31T12:00:00.000+00:00",
                            "text": "ünd",
                        },
                    }
                },
            )
        ]

    def test_a_message_to_a_topic(self, google, connect):
        connect(topic="infrastructures").send([READY])
        message = google.messages[0][1]["message"]
        assert message["topic"] == "infrastructures"
        assert "token" not in message

    def test_without_token_and_topic_registered_devices_get_messages(self, google, connect):
        notifier = connect(endpoint=google.url)
        assert notifier.tells_subscribers
        notifier.send([dataclasses.replace(READY, subscriber="phone")])
        assert google.messages[0][1]["message"]["token"] == "phone"
        assert not connect().tells_subscribers

    def test_only_the_registration_id_of_a_client_is_stored(self):
        assert FirebaseCloudMessaging.address({"api_key": "hush", "reg_id": "phone"}) == "phone"

    @pytest.mark.parametrize("given", [{}, {"reg_id": ""}, {"reg_id": 7}, {"reg_id": "a b"}, {"reg_id": "x" * 5000}])
    def test_an_invalid_registration_id_is_refused(self, given):
        with pytest.raises(ValueError, match="reg_id"):
            FirebaseCloudMessaging.address(given)

    def test_events_unknown_to_1_x_are_named_by_their_kind(self, google, connect):
        connect().send([HEALING])
        assert google.messages[0][1]["message"]["data"]["event"] == "healing"

    def test_a_long_text_is_shortened_to_fit_a_message(self, google, connect):
        infra_id, node_name, node_id = "i" * 128, "n" * 63, "d" * 36
        at, text = "2026-01-31T12:00:00.000+00:00", "x" + "ü" * 5000
        connect(topic="t").send([Notification(9, infra_id, "healing", "", at, node_name, node_id, text)])
        data = google.messages[0][1]["message"]["data"]
        assert data["text"] == "x" + "ü" * 499
        assert sum(len(f"{key}{value}".encode()) for key, value in data.items()) < 2048

    def test_the_core_sends_them_one_by_one(self):
        assert FirebaseCloudMessaging.batch_size == 1


class TestAccessToken:
    def test_a_token_is_requested_by_the_service_account(self, google, connect):
        connect().send([READY])
        (claims,) = google.claims
        assert claims["iss"] == EMAIL
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert claims["exp"] - claims["iat"] == 3600
        assert abs(claims["iat"] - time.time()) < 60

    def test_a_token_is_used_until_shortly_before_it_expires(self, google, connect, at):
        sender = connect()
        for seconds, claims in ((0, 1), (3500, 1), (3599, 2)):
            at(seconds)
            sender.send([READY])
            assert len(google.claims) == claims

    def test_a_refused_token_is_not_used_again(self, google, connect):
        sender = connect()
        sender.send([READY])
        google.good_tokens.clear()
        with pytest.raises(AuthError, match="UNAUTHENTICATED"):
            sender.send([READY])
        sender.send([READY])
        assert len(google.claims) == 2

    @pytest.mark.parametrize(
        ("status", "error"), [(400, AuthError), (401, AuthError), (429, TransientError), (503, TransientError)]
    )
    def test_a_refused_request_for_a_token(self, google, connect, status, error):
        google.token_status = status
        with pytest.raises(error, match=f"token service answered {status}"):
            connect().send([READY])
        assert google.messages == []

    @pytest.mark.parametrize("answer", ["<html>", "[]", '{"token": "x"}', '{"access_token": "x", "expires_in": []}'])
    def test_an_unusable_answer_to_a_request_for_a_token(self, google, connect, answer):
        google.token_answer = answer
        with pytest.raises(TransientError, match="no access token"):
            connect().send([READY])

    def test_an_invalid_private_key_is_refused(self, connect, account):
        from cryptography.hazmat.primitives import serialization as forms  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

        stolen = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = stolen.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
        account["private_key"] = pem.decode()
        with pytest.raises(AuthError):
            connect(auth={"service_account": json.dumps(account)}).send([READY])


class TestServiceAccount:
    def test_missing_keys_of_a_service_account(self, connect):
        with pytest.raises(AuthError, match="auth_data has no service_account"):
            connect(auth={}).send([READY])

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: "not JSON at all",
            lambda text: "[]",
            lambda text: text.replace("private_key", "other_key"),
            lambda text: text.replace("client_email", "other"),
            lambda text: re.sub(r"MII[^-]{60}", "nonsense", text),
        ],
    )
    def test_an_invalid_service_account(self, connect, account, change):
        with pytest.raises(AuthError, match="is not the key file") as caught:
            connect(auth={"service_account": change(json.dumps(account))}).send([READY])
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "general", "code", "error"),
        [
            (404, "NOT_FOUND", "UNREGISTERED", PermanentError),
            (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", PermanentError),
            (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", PermanentError),
            (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", ThrottledError),
            (503, "UNAVAILABLE", "UNAVAILABLE", TransientError),
            (500, "INTERNAL", "INTERNAL", TransientError),
            (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", AuthError),
            (403, "PERMISSION_DENIED", None, AuthError),
            (404, "NOT_FOUND", None, PermanentError),
        ],
    )
    def test_error_codes(self, google, connect, status, general, code, error):
        details = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
        google.status, google.answer = status, refusal(status, general, {"@type": "other"}, *details)
        with pytest.raises(error, match=code or general) as caught:
            connect().send([READY])
        assert type(caught.value) is error
        assert len(google.messages) == 1, "to repeat is for the core"

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (502, TransientError),
            (408, TransientError),
            (401, AuthError),
            (403, AuthError),
            (429, ThrottledError),
            (302, PermanentError),
            (418, PermanentError),
        ],
    )
    @pytest.mark.parametrize("answer", ["<html>", "[]", '{"error": "no"}', '{"error": {"details": [1]}}'])
    def test_answers_that_are_not_from_fcm(self, google, connect, status, error, answer):
        google.status, google.answer = status, answer
        google.headers = {"Location": f"{google.url}/elsewhere"}
        with pytest.raises(error) as caught:
            connect().send([READY])
        assert type(caught.value) is error
        assert len(google.messages) == 1

    @pytest.mark.parametrize(
        ("status", "said", "seconds"), [(429, "17", 17.0), (429, "", 60.0), (429, "soon", 60.0), (503, "5", 5.0)]
    )
    def test_throttling(self, google, connect, status, said, seconds):
        code = "QUOTA_EXCEEDED" if status == 429 else "UNAVAILABLE"
        google.status, google.answer = status, refusal(status, code)
        google.headers = {"Retry-After": said} if said else {}
        with pytest.raises(ThrottledError) as caught:
            connect().send([READY])
        assert caught.value.retry_after == seconds


class TestTrouble:
    def test_an_unreachable_server(self, connect):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            away = f"http://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(TransientError, match="Firebase Cloud Messaging could not be reached"):
                connect(token=DEVICE, endpoint=away).send([READY])

    def test_no_answer(self, connect):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            sender = connect(0.8, token=DEVICE, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
            with pytest.raises(TransientError, match="did not answer in time"):
                sender.send([READY])

    def test_errors_contain_no_secrets(self, google, connect, account):
        sender = connect()
        secrets = [DEVICE, "access-token", account["private_key"].splitlines()[1]]
        for status in (400, 401, 403, 404, 429, 500):
            google.status = status
            google.answer = refusal(status, "X", {"errorCode": f"{DEVICE} {account['private_key']}"})
            with pytest.raises((PermanentError, TransientError, AuthError)) as caught:
                sender.send([READY])
            assert not [secret for secret in secrets if secret in f"{caught.value!r} {caught.value}"]


class TestPlugin:
    def test_the_notifier_is_found_by_its_type(self):
        assert Registry().notify("fcm") is FirebaseCloudMessaging

    @pytest.mark.parametrize(
        ("entry", "fits"),
        [
            ({"project_id": "my-project", "token": "t"}, True),
            ({"project_id": "my-project", "topic": "t"}, True),
            ({"project_id": "my-project", "topic": "t", "endpoint": "http://127.0.0.1:1"}, True),
            ({"project_id": "my-project"}, True),
            ({"project_id": "my-project", "token": "t", "topic": "t"}, False),
            ({"project_id": "../../other", "token": "t"}, False),
            ({"project_id": "my-project", "topic": "a b"}, False),
            ({"token": "t"}, False),
        ],
    )
    def test_the_schema(self, entry, fits):
        schema = FirebaseCloudMessaging.schema()
        jsonschema.Draft7Validator.check_schema(schema)
        assert jsonschema.Draft7Validator(schema).is_valid(entry) is fits

    def test_the_schema_does_not_import_the_libraries(self):
        program = (
            "import sys, occopus_notify_fcm as f; f.FirebaseCloudMessaging.schema()\n"
            "print({'requests', 'google.auth'} & set(sys.modules))"
        )
        assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"
