"""A real OpenSSH server for the tests, and nodes on it."""

from __future__ import annotations

import pytest

from occopus_core.testing import sshd


@pytest.fixture(scope="session")
def server():
    if lacking := sshd.lacking():
        pytest.skip(lacking)
    with sshd.SshServer([f"127.0.62.{number}" for number in range(1, 9)]) as server:
        yield server
