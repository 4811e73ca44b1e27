"""A real OpenSSH server for the tests, and nodes on it."""

from __future__ import annotations

import pytest

from occopus_core.testing import sshd


@pytest.fixture(scope="session")
def server():
    if not sshd.installed():
        pytest.skip("OpenSSH is not installed: apt-get install openssh-server")
    with sshd.SshServer([f"127.0.62.{number}" for number in range(1, 9)]) as server:
        yield server
