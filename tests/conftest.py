"""Real parts that more than one folder of tests needs."""

from __future__ import annotations

import signal

import pytest

from occopus_core.testing import ports

from . import postgresql as server


@pytest.fixture(scope="session", autouse=True)
def hangups_are_heard():
    """Who runs the tests with nohup would have every program they start ignore a SIGHUP too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def postgresql():
    """A running PostgreSQL; `new_database` makes an empty database on it."""
    if not server.is_installed():
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with server.running() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def store_url(request, tmp_path):
    """The URL of an empty store, of each kind there is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store/occopus.db"
    return request.getfixturevalue("postgresql").new_database()


@pytest.fixture
def held_port():
    """A reserved port of the loopback without a listener, until the test starts one."""
    with ports.held_port() as port:
        yield port
