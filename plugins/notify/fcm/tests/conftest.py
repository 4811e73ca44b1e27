"""Google on loopback: a token service that checks the signed claim, and FCM that checks the token."""

from __future__ import annotations

import time

import pytest

from occopus_notify_fcm import testing


@pytest.fixture(scope="session")
def key():
    return testing.account_key()


@pytest.fixture(scope="session")
def private_key(key):
    return testing.as_text(key)


@pytest.fixture
def google(key):
    with testing.serving(key) as google:
        yield google


@pytest.fixture
def account(google, private_key):
    """A key file as Google gives it out."""
    return testing.account(google, private_key)


@pytest.fixture
def at(monkeypatch):
    """Sets the monotonic clock that access tokens are kept by."""
    start = time.monotonic()

    def set_to(seconds):
        monkeypatch.setattr("occopus_notify_fcm.client.time.monotonic", lambda: start + seconds)

    return set_to
