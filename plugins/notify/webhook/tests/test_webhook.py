"""The webhook against a real server: requests, signatures, and the meaning of answers."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import sys

import jsonschema
import pytest
import trustme

from occopus_core.api import AuthError, Connection, Notification, PermanentError, ThrottledError, TransientError
from occopus_core.registry import Registry
from occopus_notify_webhook import Webhook

from .conftest import receiving

SECRET = "hush-hush-hush"
READY = Notification(7, "shop", "node ready", "nodecreated", "2026-01-31T12:00:00.000+00:00", "web", "n-1", "ünd")
HEALING = Notification(8, "shop", "healing", "", "2026-01-31T12:00:01.000+00:00")


def webhook(url, secret=SECRET, timeout=60.0):
    auth = {"secret": secret} if secret else {}
    return Webhook(Connection("webhook", {"url": url}, auth, call_timeout=timeout))


def header(headers, name):
    return {key.lower(): value for key, value in headers.items()}.get(name.lower())


class TestRequest:
    def test_all_notifications_are_sent_in_order(self, receiver):
        webhook(f"{receiver.url}/hook?x=1").send([READY, HEALING])
        ((path, headers, body),) = receiver.requests
        assert path == "/hook?x=1"
        assert header(headers, "Content-Type") == "application/json"
        first, second = json.loads(body)["notifications"]
        assert first == {
            "id": 7,
            "infra_id": "shop",
            "event": "node ready",
            "name": "nodecreated",
            "at": "2026-01-31T12:00:00.000+00:00",
            "node_name": "web",
            "node_id": "n-1",
            "text": "ünd",
        }
        assert second["id"] == 8

    def test_the_signature_is_that_of_the_body(self, receiver):
        webhook(receiver.url).send([READY])
        ((_, headers, body),) = receiver.requests
        expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert header(headers, "X-Occopus-Signature") == f"sha256={expected}"
        assert SECRET.encode() not in body
        assert SECRET not in str(headers)

    def test_without_a_secret_there_is_no_signature(self, receiver):
        webhook(receiver.url, secret="").send([READY])
        ((_, headers, _),) = receiver.requests
        assert header(headers, "X-Occopus-Signature") is None

    def test_only_a_repeat_has_the_same_delivery_id(self, receiver):
        sender = webhook(receiver.url)
        for notifications in ([READY], [READY], [READY, HEALING]):
            sender.send(notifications)
        first, repeat, other = (header(headers, "X-Occopus-Delivery") for _, headers, _ in receiver.requests)
        assert first == repeat
        assert first != other


class TestAnswers:
    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    def test_success_statuses(self, receiver, status):
        receiver.status = status
        webhook(receiver.url).send([READY])
        assert len(receiver.requests) == 1

    @pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
    def test_transient_statuses(self, receiver, status):
        receiver.status = status
        with pytest.raises(TransientError, match=f"answered {status}$") as caught:
            webhook(receiver.url).send([READY])
        assert not isinstance(caught.value, ThrottledError)
        assert len(receiver.requests) == 1, "to repeat is for the core"

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_credentials(self, receiver, status):
        receiver.status = status
        with pytest.raises(AuthError, match=f"answered {status}: it does not accept the signature"):
            webhook(receiver.url).send([READY])

    @pytest.mark.parametrize("status", [400, 404, 410, 413, 422])
    def test_permanent_statuses(self, receiver, status):
        receiver.status = status
        with pytest.raises(PermanentError, match=f"answered {status}$"):
            webhook(receiver.url).send([READY])

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, receiver, status):
        with receiving() as elsewhere:
            receiver.status, receiver.headers = status, {"Location": elsewhere.url}
            with pytest.raises(PermanentError, match="redirects are not followed"):
                webhook(receiver.url).send([READY])
            assert elsewhere.requests == []

    @pytest.mark.parametrize(
        ("status", "said", "seconds"), [(429, "17", 17.0), (429, "", None), (429, "soon", None), (503, "5", 5.0)]
    )
    def test_throttling(self, receiver, status, said, seconds):
        receiver.status, receiver.headers = status, {"Retry-After": said} if said else {}
        with pytest.raises(ThrottledError) as caught:
            webhook(receiver.url).send([READY])
        assert caught.value.retry_after == seconds


class TestTrouble:
    def test_an_unreachable_receiver(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(TransientError, match="could not be reached"):
                webhook(f"http://127.0.0.1:{taken.getsockname()[1]}").send([READY])

    def test_no_answer(self):
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            pytest.raises(TransientError, match=r"did not answer within 0\.4 s"),
        ):
            webhook(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.4).send([READY])

    @pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999/", "http://.example"])
    def test_an_invalid_url(self, url):
        with pytest.raises(PermanentError, match="not a valid http or https URL"):
            webhook(url).send([READY])

    def test_errors_contain_neither_the_secret_nor_the_path(self, receiver):
        receiver.status = 404
        for url in (f"{receiver.url}/T0P/{SECRET}?k={SECRET}", f"http://127.0.0.1:1/{SECRET}"):
            with pytest.raises((PermanentError, TransientError)) as caught:
                webhook(url).send([READY])
            assert SECRET not in f"{caught.value!r} {caught.value}"
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__ or caught.value.__context__ is None


class TestCertificates:
    @pytest.fixture
    def authority(self):
        return trustme.CA()

    @pytest.fixture
    def secure(self, authority):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        with receiving(context) as receiver:
            yield receiver

    def test_a_certificate_of_an_unknown_authority_is_refused(self, secure):
        with pytest.raises(TransientError, match="has no certificate that this host trusts"):
            webhook(secure.url).send([READY])
        assert secure.requests == []

    def test_a_certificate_of_a_known_authority_is_trusted(self, secure, authority, tmp_path, monkeypatch):
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        webhook(secure.url).send([READY])
        assert len(secure.requests) == 1


class TestPlugin:
    def test_the_notifier_is_found_by_its_type(self):
        assert Registry().notify("webhook") is Webhook

    @pytest.mark.parametrize(
        ("url", "fits"),
        [
            ("https://hooks.example.org/occopus", True),
            ("http://127.0.0.1:8080", True),
            ("https://[2001:db8::1]/?a=b", True),
            ("https://me:password@example.org/", False),
            ("ftp://example.org", False),
            ("https://", False),
            ("example.org", False),
        ],
    )
    def test_the_schema(self, url, fits):
        jsonschema.Draft7Validator.check_schema(Webhook.schema())
        assert jsonschema.Draft7Validator(Webhook.schema()).is_valid({"url": url}) is fits

    def test_the_schema_does_not_import_the_library(self):
        program = "import sys, occopus_notify_webhook as w; w.Webhook.schema(); print('requests' in sys.modules)"
        assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"
