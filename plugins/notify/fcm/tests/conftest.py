"""Google on loopback: a token service that checks the signed claim, and FCM that checks the token."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from occopus_core.testing.web import answering

EMAIL = "occopus@my-project.iam.gserviceaccount.com"


class Google:
    """Answers `status` and `answer` to messages, `token_status` to requests for tokens."""

    def __init__(self, certificate):
        self._certificate = certificate
        self.url = ""
        self.status, self.answer, self.headers = 200, {"name": "projects/my-project/messages/1"}, {}
        self.token_status, self.token_answer, self.lifetime = 200, None, 3600
        self.claims, self.messages = [], []
        self.good_tokens = set()

    def post(self, path, headers, body):
        if path == "/token":
            return self._token(parse_qs(body.decode()))
        self.messages.append((path, json.loads(body)))
        if headers["Authorization"].removeprefix("Bearer ") not in self.good_tokens:
            return 401, refusal(401, "UNAUTHENTICATED"), {}
        return self.status, self.answer, self.headers

    def _token(self, form):
        if self.token_status != 200 or self.token_answer is not None:
            return self.token_status, self.token_answer or {"error": "invalid_grant"}, {}
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        claims = jwt.decode(form["assertion"][0], certs=self._certificate, audience=f"{self.url}/token")
        self.claims.append(claims)
        token = f"access-token-{len(self.claims)}"
        self.good_tokens.add(token)
        return 200, {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}, {}


def refusal(status, code, *details):
    return {"error": {"code": status, "status": code, "message": "no", "details": list(details)}}


@pytest.fixture(scope="session")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def private_key(key):
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


@pytest.fixture
def google(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    google = Google(key.public_key().public_bytes(serialization.Encoding.PEM, form))

    def answer(path, headers, body):
        try:
            status, said, more = google.post(path, headers, body)
        except Exception as error:  # noqa: BLE001  # the test sees it as an answer nobody expects
            status, said, more = 418, {"error": str(error)}, {}
        return status, more, (said if isinstance(said, str) else json.dumps(said)).encode()

    with answering(answer) as google.url:
        yield google


@pytest.fixture
def account(google, private_key):
    """A key file as Google gives it out."""
    return {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "key-1",
        "private_key": private_key,
        "client_email": EMAIL,
        "token_uri": f"{google.url}/token",
    }


@pytest.fixture
def at(monkeypatch):
    """Sets the monotonic clock that access tokens are kept by."""
    start = time.monotonic()

    def set_to(seconds):
        monkeypatch.setattr("occopus_notify_fcm.client.time.monotonic", lambda: start + seconds)

    return set_to
