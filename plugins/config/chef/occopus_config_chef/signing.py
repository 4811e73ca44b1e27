"""Signs requests as a Chef server expects: version 1.3 of its protocol, SHA-256 and RSA."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from requests import PreparedRequest
from requests.auth import AuthBase

from occopus_core.api import AuthError

API_VERSION = "1"
_PIECE = 60
"""The number of characters of the signature in one header."""


def load_key(text: str) -> rsa.RSAPrivateKey:
    """Load the private key of a client. Raises `AuthError`, which does not quote the key."""
    try:
        key = serialization.load_pem_private_key(text.strip().encode() + b"\n", password=None)
    except (ValueError, TypeError) as error:
        raise AuthError(f"client_key of auth_data is no private key in PEM: {type(error).__name__}") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise AuthError("client_key of auth_data is no RSA key, which Chef servers expect")
    return key


class ChefSignature(AuthBase):
    """Signs each request in the name of a client, with the time that `now` returns."""

    def __init__(self, client_name: str, key: rsa.RSAPrivateKey, now: Callable[[], datetime]) -> None:
        self._client_name = client_name
        self._key = key
        self._now = now

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers."""
        body = request.body or b""
        digest = _base64(hashlib.sha256(body.encode() if isinstance(body, str) else body).digest())
        timestamp = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        path = re.sub("/+", "/", urlsplit(str(request.url)).path).rstrip("/") or "/"
        signed = canonical(str(request.method), path, digest, timestamp, self._client_name)
        signature = _base64(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))
        request.headers.update(
            {
                "X-Ops-Sign": "algorithm=sha256;version=1.3",
                "X-Ops-UserId": self._client_name,
                "X-Ops-Timestamp": timestamp,
                "X-Ops-Content-Hash": digest,
                "X-Ops-Server-API-Version": API_VERSION,
            }
        )
        for number, start in enumerate(range(0, len(signature), _PIECE), 1):
            request.headers[f"X-Ops-Authorization-{number}"] = signature[start : start + _PIECE]
        return request


def canonical(method: str, path: str, digest: str, timestamp: str, client_name: str) -> str:
    """The text to sign. `digest` is the base64 of the body's SHA-256; `path` has no query."""
    return "\n".join(
        (
            f"Method:{method}",
            f"Path:{path}",
            f"X-Ops-Content-Hash:{digest}",
            "X-Ops-Sign:version=1.3",
            f"X-Ops-Timestamp:{timestamp}",
            f"X-Ops-UserId:{client_name}",
            f"X-Ops-Server-API-Version:{API_VERSION}",
        )
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
