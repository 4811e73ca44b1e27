"""A real MariaDB server on the loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from occopus_health_mysql.testing import Server, encrypting, lacking, running


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A server with TLS and a self-signed certificate."""
    if reason := lacking():
        pytest.skip(reason)
    with encrypting() as server:
        yield server


@pytest.fixture(scope="session")
def plain_mariadb() -> Iterator[Server]:
    """A server without TLS."""
    if reason := lacking():
        pytest.skip(reason)
    with running("--skip-ssl") as server:
        yield server


@pytest.fixture
def refusing() -> Iterator[int]:
    """A bound port without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        yield server.getsockname()[1]
