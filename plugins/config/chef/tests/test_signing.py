"""The signature of requests, and valid keys."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from occopus_config_chef.signing import ChefSignature, canonical, load_key
from occopus_core.api import AuthError

NOW = datetime(2026, 11, 27, 22, 0, 0, tzinfo=UTC)
EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
"""The base64 of the SHA-256 of nothing."""


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


def pem(key):
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def test_the_signed_text():
    assert canonical("GET", "/nodes", EMPTY, "2026-11-27T22:00:00Z", "admin").split("\n") == [
        "Method:GET",
        "Path:/nodes",
        f"X-Ops-Content-Hash:{EMPTY}",
        "X-Ops-Sign:version=1.3",
        "X-Ops-Timestamp:2026-11-27T22:00:00Z",
        "X-Ops-UserId:admin",
        "X-Ops-Server-API-Version:1",
    ]


@pytest.mark.parametrize(("url", "path"), [("nodes", "/nodes"), ("//nodes/?q=1", "/nodes"), ("", "/")])
def test_the_signature_is_split_into_headers_and_valid(key, url, path):
    request = requests.Request("GET", f"http://chef/{url}", auth=ChefSignature("admin", key, lambda: NOW)).prepare()
    names = sorted((n for n in request.headers if n.startswith("X-Ops-Authorization-")), key=lambda n: int(n[20:]))
    pieces = [request.headers[name] for name in names]
    assert all(len(piece) <= 60 for piece in pieces)
    signed = canonical("GET", path, EMPTY, "2026-11-27T22:00:00Z", "admin").encode()
    key.public_key().verify(base64.b64decode("".join(pieces)), signed, padding.PKCS1v15(), hashes.SHA256())


def test_a_key_with_white_space_around_it(key):
    assert load_key(f"\n  {pem(key)}\n\n").private_numbers() == key.private_numbers()


@pytest.mark.parametrize(
    "text", ["", "not a key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
)
def test_an_invalid_key_is_refused_and_not_quoted(text):
    with pytest.raises(AuthError, match="no private key in PEM") as refused:
        load_key(text)
    assert "AAAA" not in str(refused.value)


def test_a_key_of_another_type_is_refused():
    with pytest.raises(AuthError, match="no RSA key"):
        load_key(pem(ec.generate_private_key(ec.SECP256R1())))
