"""Simulated Google services on the loopback: a token service that checks requests, and FCM that checks tokens."""

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
    """A key file in Google's format."""
    return testing.account(google, private_key)


@pytest.fixture
def at(monkeypatch):
    """Sets the monotonic clock for the expiry of access tokens."""
    start = time.monotonic()

    def set_to(seconds):
        monkeypatch.setattr("occopus_notify_fcm.client.time.monotonic", lambda: start + seconds)

    return set_to
