"""A real SSH server on the loopback, which playbooks of ansible-core are run against."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from occopus_core.testing.sshd import SshServer, installed


@pytest.fixture(scope="session")
def sshd() -> Iterator[SshServer]:
    if not installed():
        pytest.skip("sshd is not installed: apt-get install openssh-server")
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed: apt-get install openssh-client")
    if os.geteuid() != 0:
        pytest.skip("the tests log in as root: only root can start such a server")
    with SshServer([f"127.0.11.{number}" for number in range(1, 9)] + ["127.0.0.1"]) as server:
        yield server
