"""A real OpenSSH server for the tests, and nodes on it."""

from __future__ import annotations

import pytest

from occopus_core.testing import sshd
from occopus_core.testing.ports import held_port


@pytest.fixture(scope="session")
def server():
    if lacking := sshd.lacking():
        pytest.skip(lacking)
    with sshd.SshServer([f"127.0.62.{number}" for number in range(1, 9)]) as server:
        yield server


@pytest.fixture
def refusing(server):
    """A port of the server's first address without a listener."""
    with held_port(server.addresses[0]) as port:
        yield port
