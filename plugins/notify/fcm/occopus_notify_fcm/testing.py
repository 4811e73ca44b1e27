"""The harness of the notifier for the conformance suite: simulated Google services on the loopback.

They are a token service that checks signed requests, and Firebase Cloud Messaging that checks tokens.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from email.message import Message
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from occopus_core.api import Connection, Notifier
from occopus_core.testing.conformance import Fault
from occopus_core.testing.notify import NotifyHarness
from occopus_core.testing.web import Reply, answering
from occopus_notify_fcm import FirebaseCloudMessaging

EMAIL = "occopus@my-project.iam.gserviceaccount.com"
SENT: Mapping[str, Any] = {"name": "projects/my-project/messages/1"}
"""The answer to an accepted message."""
HANG_SECONDS = 60.0

_Answer = tuple[int, Any, Mapping[str, str]]
"""The status, the body (a text, or a value for JSON) and the headers."""


def refusal(status: int, code: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    """An error in Google's format."""
    return {"error": {"code": status, "status": code, "message": "no", "details": list(details)}}


ANSWERS: Mapping[Fault, tuple[int, Mapping[str, Any]]] = {
    Fault.AUTH: (403, refusal(403, "PERMISSION_DENIED")),
    Fault.THROTTLE: (429, refusal(429, "RESOURCE_EXHAUSTED")),
    Fault.PERMANENT: (400, refusal(400, "INVALID_ARGUMENT")),
    Fault.SERVER_ERROR: (500, refusal(500, "INTERNAL")),
}


class Google:
    """Answers messages with `status` and `answer`, requests for tokens with `token_status`."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self._certificate = key.public_key().public_bytes(serialization.Encoding.PEM, form)
        self.url = ""
        self.status, self.answer, self.headers = 200, dict(SENT), dict[str, str]()
        self.token_status, self.token_answer, self.lifetime = 200, None, 3600
        self.claims: list[Mapping[str, Any]] = []
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.good_tokens: set[str] = set()

    def post(self, path: str, headers: Message, body: bytes) -> _Answer:
        """Answer one request."""
        if path == "/token":
            return self._token(parse_qs(body.decode()))
        self.messages.append((path, json.loads(body)))
        if headers["Authorization"].removeprefix("Bearer ") not in self.good_tokens:
            return 401, refusal(401, "UNAUTHENTICATED"), {}
        return self.status, self.answer, self.headers

    def _token(self, form: Mapping[str, list[str]]) -> _Answer:
        if self.token_status != HTTPStatus.OK or self.token_answer is not None:
            return self.token_status, self.token_answer or {"error": "invalid_grant"}, {}
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"], "no claim of a service account"
        claims = jwt.decode(form["assertion"][0], certs=self._certificate, audience=f"{self.url}/token")  # type: ignore[no-untyped-call]
        self.claims.append(claims)
        token = f"access-token-{len(self.claims)}"
        self.good_tokens.add(token)
        return 200, {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}, {}


@functools.cache
def account_key() -> rsa.RSAPrivateKey:
    """The key of the service account, made once for the process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@contextmanager
def serving(key: rsa.RSAPrivateKey) -> Iterator[Google]:
    """Google's services for the duration of a block; unexpected requests get status 418."""
    google = Google(key)

    def answer(path: str, headers: Message, body: bytes) -> Reply:
        try:
            status, content, more = google.post(path, headers, body)
        except Exception as error:  # noqa: BLE001 - the test sees it as an answer that it does not expect
            status, content, more = 418, {"error": str(error)}, {}
        return status, more, (content if isinstance(content, str) else json.dumps(content)).encode()

    with answering(answer) as google.url:
        yield google


def account(google: Google, private_key: str) -> dict[str, str]:
    """A key file in Google's format."""
    return {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "key-1",
        "private_key": private_key,
        "client_email": EMAIL,
        "token_uri": f"{google.url}/token",
    }


def as_text(key: rsa.RSAPrivateKey) -> str:
    """A private key in the format of a key file."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


class FcmHarness(NotifyHarness):
    """Google's services for this harness, stopped at the end."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("requests", "google.auth")
    faults: ClassVar[frozenset[Fault]] = frozenset({*ANSWERS, Fault.HANG})
    subscription: ClassVar[Mapping[str, Any] | None] = {"reg_id": "registration-of-an-app"}
    grace: ClassVar[float] = 15.0

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._google = self._stack.enter_context(serving(account_key()))
        self._account = account(self._google, as_text(account_key()))
        self._works = self._google.post
        self._done = threading.Event()
        self._calls = 0
        self._fault: Fault | None = None
        self._google.post = self._post  # type: ignore[method-assign]

    def _post(self, path: str, headers: Message, body: bytes) -> _Answer:
        self._calls += 1
        if self._fault is Fault.HANG:
            self._done.wait(HANG_SECONDS)
        return self._works(path, headers, body)

    def notifier(self, *, call_timeout: float | None = None) -> Notifier:
        """A new notifier with the key file."""
        settings = {"project_id": "my-project", "endpoint": self._google.url, "token": "device-token"}
        auth = {"service_account": json.dumps(self._account)}
        return FirebaseCloudMessaging(Connection("fcm", settings, auth, call_timeout or 30.0))

    def received(self) -> list[int]:
        """The ids of the accepted messages."""
        return [int(message["message"]["data"]["id"]) for _, message in self._google.messages]

    def calls(self) -> int:
        """The number of requests."""
        return self._calls

    def inject(self, fault: Fault) -> None:
        """Return this error, or stay silent."""
        self._fault = fault
        status, answer = ANSWERS.get(fault, (500, {}))
        self._google.status, self._google.answer = status, dict(answer)

    def clear(self) -> None:
        """Accept messages again. Idempotent."""
        self._fault = None
        self._done.set()
        self._google.status, self._google.answer = 200, dict(SENT)

    def secrets(self) -> tuple[str, ...]:
        """The private key, and the key file."""
        return (self._account["private_key"], *super().secrets())

    def close(self) -> None:
        """Stop the server. Idempotent."""
        self._done.set()
        self._stack.close()
