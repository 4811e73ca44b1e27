"""A real OpenStack for all tests here, and a proxy of ours before it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from account import Account, clear  # noqa: E402  # this folder is none of the packages
from desk import Desk  # noqa: E402
from faults import Proxy  # noqa: E402
from stack import Stack, install  # noqa: E402

CACHE = HERE.parents[1] / ".openstack"


def pytest_ignore_collect(config):
    """These tests need a minute and 800 MB before they begin: they run only when they are named."""
    return None if any("openstack" in arg for arg in config.args) else True


def pytest_itemcollected(item):
    """The library that looks past the proxy warns of itself, whatever is asked of it."""
    item.add_marker(pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"))
    item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def stack():
    """Running; ``$OCCOPUS_OPENSTACK_VENV`` is where its services are installed, ``.openstack/venv`` else."""
    venv = Path(os.environ.get("OCCOPUS_OPENSTACK_VENV", CACHE / "venv"))
    install(venv)
    with tempfile.TemporaryDirectory(prefix="occopus-openstack-", ignore_cleanup_errors=True) as folder:
        stack = Stack(venv, Path(folder))
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


@pytest.fixture(scope="session")
def running_proxy(stack):
    proxy = Proxy(stack.layout.ports, stack.public)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def proxy(running_proxy):
    """Works at the beginning of each test, and again after it."""
    yield running_proxy
    running_proxy.reset()


@pytest.fixture(scope="session")
def accounts(stack):
    """By user, seen without the proxy: ``demo``, and ``narrow`` whose quota is one server."""
    return {user: Account(stack, user) for user in ("demo", "narrow")}


@pytest.fixture(scope="session")
def account(accounts):
    return accounts["demo"]


@pytest.fixture
def desk(tmp_path, accounts, proxy):
    desk = Desk(tmp_path, accounts["demo"])
    yield desk
    try:
        proxy.reset()
        desk.close()
    finally:
        clear(accounts.values())
