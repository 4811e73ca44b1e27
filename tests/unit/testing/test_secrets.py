"""The secrets of credentials as the suites define them, and their names in messages."""

from __future__ import annotations

from occopus_core.testing.suite import leaked, secrets_of

AUTH = {"user": "debian", "username": "debian", "email": "me@example.org", "private_key": "KEY", "password": ""}


def test_who_logs_in_is_not_a_secret():
    assert secrets_of(AUTH) == ("KEY",)


def test_a_secret_that_is_shown_is_named_by_its_key():
    assert (
        leaked("refused KEY and WORD", ["KEY", "WORD", "other"], AUTH)
        == "auth_data.private_key, a secret of the harness"
    )
    assert leaked("refused the key of debian", secrets_of(AUTH), AUTH) == ""
